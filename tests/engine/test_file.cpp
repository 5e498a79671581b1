#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/base/file.h"
#include "engine/base/parallel.h"

using namespace dura;
namespace fs = std::filesystem;
using Catch::Contains;

namespace {

// A directory of this test alone, removed at its end.
struct Folder {
  fs::path path = fs::temp_directory_path() / concat("dura-file-", ::getpid());
  Folder() { fs::remove_all(path), fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  size_t entries() const { return static_cast<size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator())); }
};

// Writing beyond the limit fails as on a full disk; the signal that would end the process is ignored meanwhile.
struct FileSizeLimit {
  rlimit before{};
  void (*handler)(int);
  explicit FileSizeLimit(rlim_t bytes) : handler(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before), std::signal(SIGXFSZ, handler); }
};

}  // namespace

TEST_CASE("a file is written whole and read back", "[file]") {
  const Folder folder;
  const std::vector<uint8_t> bytes{0, 1, 255, 10, 0};
  write_file_atomically(folder.path / "a.bin", bytes);
  CHECK(read_file(folder.path / "a.bin", 5) == bytes);
  write_file_atomically(folder.path / "a.bin", std::string_view("new"));
  CHECK(read_text_file(folder.path / "a.bin", 100) == "new");
  write_file_atomically(folder.path / "empty", std::string_view(""));
  CHECK(read_file(folder.path / "empty", 0).empty());
  CHECK(folder.entries() == 2);
  struct stat status {};
  ::stat((folder.path / "a.bin").c_str(), &status);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  CHECK((status.st_mode & 0777) == (0666 & ~mask));
}

TEST_CASE("a large file is read in pieces by all threads, and at any position", "[file]") {
  const Folder folder;
  std::vector<uint8_t> bytes((size_t{9} << 20) + 13);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 31 + (i >> 12));
  write_file_atomically(folder.path / "a.bin", bytes);
  for (const int threads : {1, 3}) {
    const int before = num_threads();
    set_num_threads(threads);
    const FileBytes read = read_file_bytes(folder.path / "a.bin", bytes.size());
    set_num_threads(before);
    CHECK(std::ranges::equal(read.span(), bytes));
  }
  CHECK_THROWS_WITH(read_file_bytes(folder.path / "a.bin", bytes.size() - 1), Contains("Is it the right file?"));
  write_file_atomically(folder.path / "empty", std::string_view());
  CHECK(read_file_bytes(folder.path / "empty", 0).size == 0);

  InputFile file(folder.path / "a.bin");
  uint8_t part[20] = {};
  CHECK(file.read_at(bytes.size() - 7, part, 20) == 7);
  CHECK(std::equal(part, part + 7, bytes.end() - 7));
  CHECK(file.read(part, 20) == 20);  // from the beginning on, whatever was read elsewhere
  CHECK(file.read(part, 20) == 20);
  CHECK(std::equal(part, part + 20, bytes.begin() + 20));
}

TEST_CASE("a file that shrinks or grows while it is read is an error", "[file]") {
  const Folder folder;
  const fs::path path = folder.path / "growing";
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (size_t size = 0; !done; size = (size + 77) % 100000) std::ofstream(path, std::ios::trunc) << std::string(size, 'x');
  });
  size_t refused = 0;
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
       refused == 0 && std::chrono::steady_clock::now() < end;)
    try {
      read_file_bytes(path, 1 << 20);
    } catch (const Error& e) {
      refused += std::string(e.what()).find("changed while it was being read") != std::string::npos;
    }
  done = true;
  writer.join();
  CHECK(refused > 0);
}

TEST_CASE("without commit the old file stays and nothing is left beside it", "[file]") {
  const Folder folder;
  write_file_atomically(folder.path / "a.bin", std::string_view("old"));
  {
    AtomicFile file(folder.path / "a.bin");
    file.write(std::string_view("half of the n"));
  }
  CHECK(read_text_file(folder.path / "a.bin", 100) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a disk that takes no more bytes is named and the old file survives", "[file]") {
  const Folder folder;
  write_file_atomically(folder.path / "a.bin", std::string_view("old"));
  {
    const FileSizeLimit limit(4096);
    const std::vector<uint8_t> much(100000);
    CHECK_THROWS_WITH(write_file_atomically(folder.path / "a.bin", much),
                      Contains("a.bin") && Contains("after 4096 bytes") && Contains("File too large") && Contains("may not grow"));
  }
  CHECK(read_text_file(folder.path / "a.bin", 100) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a path that cannot be written is named with the reason", "[file]") {
  const Folder folder;
  write_file_atomically(folder.path / "file", std::string_view("x"));
  fs::create_directory(folder.path / "directory");
  CHECK_THROWS_WITH(AtomicFile(folder.path / "no" / "a.bin"), Contains("no/a.bin") && Contains("does not exist: create it"));
  CHECK_THROWS_WITH(AtomicFile(folder.path / "file" / "a.bin"), Contains("A part of the path is a file"));
  CHECK_THROWS_WITH(AtomicFile(folder.path / "directory"), Contains("A directory of this name is in the way"));
  CHECK_THROWS_WITH(AtomicFile(folder.path / "directory" / ""), Contains("not the path of a file"));
  CHECK_THROWS_WITH(AtomicFile(folder.path / std::string(300, 'n')), Contains("choose a shorter one"));
  CHECK_THROWS_AS(AtomicFile("/proc/dura.bin"), Error);
}

TEST_CASE("who may not write somewhere is told so", "[file]") {
  const Folder folder;
  fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const auto message = [&]() -> std::string {
    try {
      AtomicFile(folder.path / "a.bin");
      return "nothing was thrown";
    } catch (const Error& e) {
      return e.what();
    }
  };
  std::string said;
  if (::geteuid() != 0) {
    said = message();
  } else {  // root may write everywhere: asked in a process of another user
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t process = ::fork();
    REQUIRE(process >= 0);
    if (process == 0) {
      constexpr unsigned nobody = 65534;
      const std::string text =
          ::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0 ? message() : "still root";
      [[maybe_unused]] const ssize_t written = ::write(ends[1], text.data(), text.size());
      ::_exit(0);
    }
    ::close(ends[1]);
    char part[256];
    for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) said.append(part, static_cast<size_t>(n));
    ::close(ends[0]);
    ::waitpid(process, nullptr, 0);
  }
  CHECK_THAT(said, Contains("a.bin") && Contains("You may not write there"));
  fs::permissions(folder.path, fs::perms::owner_all);
}

TEST_CASE("what a killed writer left is used again, a living one is not disturbed", "[file]") {
  const Folder folder;
  std::ofstream(folder.path / "a.bin.tmp") << "left behind, and longer than the new contents";
  write_file_atomically(folder.path / "a.bin", std::string_view("new"));
  CHECK(read_text_file(folder.path / "a.bin", 100) == "new");
  CHECK(folder.entries() == 1);
  AtomicFile living(folder.path / "a.bin");
  living.write(std::string_view("first"));
  CHECK_THROWS_WITH(AtomicFile(folder.path / "a.bin"), Contains("being written by another process"));
  living.commit();
  CHECK(read_text_file(folder.path / "a.bin", 100) == "first");
  CHECK_THROWS_WITH(living.write(std::string_view("more")), Contains("after commit"));
}

TEST_CASE("files that cannot be read are named with the reason", "[file]") {
  const Folder folder;
  write_file_atomically(folder.path / "a.bin", std::string_view("12345"));
  CHECK_THROWS_WITH(read_file(folder.path / "a.bin", 4), Contains("a.bin") && Contains("has 5 bytes, at most 4"));
  CHECK_THROWS_WITH(read_file(folder.path / "none", 4), Contains("none") && Contains("No such file"));
  CHECK_THROWS_WITH(read_file(folder.path, 4), Contains("is a directory"));
  REQUIRE(::mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(read_file(folder.path / "pipe", 4), Contains("is not a regular file"));
}
