// Where a run's files go: made, tried and protected before any work is done.
#include "tests/support/catch.h"

#include <signal.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "apps/program/folder_lock.h"
#include "apps/program/program.h"
#include "apps/program/run_directory.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
namespace fs = std::filesystem;

TEST_CASE("a run directory is made with its parents and holds only whole files", "[training]") {
  const TemporaryFolder folder;
  const fs::path path = fs::path(folder.path()) / "runs" / "first";
  const RunDirectory run(path, false);
  CHECK(fs::is_directory(path));
  CHECK(fs::is_empty(path));  // the trial file is gone
  run.write("config.toml", "epochs = 3\n");
  CHECK(read_text_file(path / "config.toml", 1000) == "epochs = 3\n");
  run.write_provenance({{"weights", "none"}, {"manifest_sha256", "00"}});
  const std::string json = read_text_file(path / "run.json", 10000);
  for (const std::string& part : {std::string("\"weights\": \"none\""), "\"dura\": \"" + dura_version() + "\"",
                                  std::string("\"processor\""), std::string("\"threads\"")})
    CHECK(json.find(part) != std::string::npos);
}

TEST_CASE("a finished run is not overwritten, and is continued only when asked", "[training]") {
  const TemporaryFolder folder;
  RunDirectory(folder.path(), false).write_provenance({});
  CHECK_THROWS_AS(RunDirectory(folder.path(), false), UsageError);
  CHECK_NOTHROW(RunDirectory(folder.path(), true));
  CHECK_NOTHROW(RunDirectory(folder / "new/run", true));  // nothing to go on with: begins
}

TEST_CASE("a folder that cannot be made or written stops the run before it begins", "[training]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("a_file", "x");
  CHECK_THROWS_AS(RunDirectory(file, false), Error);
  CHECK_THROWS_AS(RunDirectory(file + "/below", false), Error);
  // Even root cannot write there.
  CHECK_THROWS_WITH(RunDirectory("/proc/dura-run", false), Catch::Contains("/proc/dura-run"));
  CHECK_THROWS_AS(RunDirectory("/proc/self", false), Error);
}

TEST_CASE("a run directory that another process uses is refused with its number, also to --resume", "[training]") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const std::string holder = concat("process ", getpid(), " at this moment");
  const auto train = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--data", folder.path(), "--out", out});
    return test::run_program("dura-train", more);
  };
  {
    const RunDirectory run(out, false);
    for (const auto& second : {train({}), train({"--resume"}), train({"--folds", "2"})}) {
      CHECK(second.code == 2);
      CHECK_THAT(second.output, Catch::Contains(out) && Catch::Contains(holder));
    }
    // Nor may this process use it twice.
    CHECK_THROWS_AS(RunDirectory(out, true), UsageError);
    CHECK_FALSE(fs::exists(fs::path(out) / "config.toml"));
  }
  CHECK_THAT(train({}).output, !Catch::Contains("at this moment"));
}

TEST_CASE("the holder of a lock is told by device and inode", "[training]") {
  const auto holder = [](dev_t device, ino_t inode) {
    std::istringstream locks(
        "1: POSIX  ADVISORY  WRITE 10 fe:00:1234 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 11 fe:01:1234 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 12 fe:00:51234 0 EOF\n"
        "4: FLOCK  ADVISORY  WRITE 13 fe:00:1234 0 EOF\n"
        "4: -> FLOCK  ADVISORY  WRITE 14 fe:00:1234 0 EOF\n"
        "5: FLOCK  ADVISORY  WRITE 0 103:100:99 0 EOF\n"
        "6: FLOCK  ADVISORY  WRITE 15 103:100:77 0 EOF\n");
    return lock_holder(locks, device, inode);
  };
  CHECK(holder(makedev(0xfe, 0), 1234) == "13");
  CHECK(holder(makedev(0xfe, 1), 1234) == "11");
  CHECK(holder(makedev(0xfd, 0), 1234) == "");
  CHECK(holder(makedev(0x103, 0x100), 77) == "15");
  CHECK(holder(makedev(0, 40), 77) == "15");  // the only one, on what the list calls another device
  CHECK(holder(makedev(0x103, 0x100), 99) == "");  // a process of another container
}

TEST_CASE("the lock of a run directory ends with the process that holds it, however it ends", "[training]") {
  const TemporaryFolder folder;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const RunDirectory run(folder.path(), false);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char said;
  REQUIRE(read(ready[0], &said, 1) == 1);
  CHECK_THROWS_WITH(RunDirectory(folder.path(), true), Catch::Contains(concat("process ", child)));
  kill(child, SIGKILL);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  CHECK_NOTHROW(RunDirectory(folder.path(), true));
  close(ready[0]), close(ready[1]);
}
