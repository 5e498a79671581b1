// dura-sbom.json, the list of what dura is made of: what CycloneDX requires is there, versions are those of the packages, and nothing that
// the compiler read is missing.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/text.h"

using namespace dura;
using json = nlohmann::json;

namespace {

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> part;
  for (size_t n; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), n);
  pclose(pipe);
  return text;
}

std::string property(const json& component, const std::string& name) {
  for (const json& p : component.at("properties"))
    if (p.at("name") == name) return p.at("value");
  return "";
}

// Of everything, or of one package.
json sbom(const std::string& package = ".") {
  return json::parse(read_text_file(build_folder() + "/papers/" + package + "/dura-sbom.json", 1 << 20));
}

std::set<std::string> names_in(const json& list) {
  std::set<std::string> names;
  for (const json& c : list.at("components")) names.insert(c.at("name"));
  return names;
}

std::set<std::string> needs_of(const json& list, const std::string& reference) {
  for (const json& d : list.at("dependencies"))
    if (d.at("ref") == reference) return d.at("dependsOn");
  return {};
}

std::set<std::string> debian_packages_in(const json& list) {
  std::set<std::string> packages;
  for (const json& c : list.at("components")) packages.insert(property(c, "dura:package"));
  packages.erase("");
  return packages;
}

// The Debian packages of the headers that the compiler read for the objects whose names match. Ninja keeps them, from the build folder seen
// where a compiler cache made it so.
std::vector<std::string> packages_of_headers(const std::string& objects) {
  const std::string packages =
      output_of("cd '" + build_folder() + "' && ninja -t deps 2>/dev/null | awk '/^[^ ]/ { ours = /" + objects +
                "/ } ours && /^ / { print $1 }' | sort -u | xargs -r realpath --no-symlinks | grep ^/usr/ | xargs -r "
                "dpkg-query --search 2>/dev/null | sed 's/[:,].*//' | sort -u");
  std::vector<std::string> names = split_at(packages, '\n');
  std::erase(names, "");
  return names;
}

}  // namespace

TEST_CASE("the list of parts has what CycloneDX 1.5 requires", "[sbom]") {
  const json all = sbom();
  CHECK(all.at("bomFormat") == "CycloneDX");
  CHECK(all.at("specVersion") == "1.5");
  CHECK(all.at("version") == 1);
  const std::regex serial("urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}");
  CHECK(std::regex_match(all.at("serialNumber").get<std::string>(), serial));
  const json& dura = all.at("metadata").at("component");
  CHECK(dura.at("name") == "dura");
  CHECK(dura.at("licenses").at(0).at("license").at("id") == "Apache-2.0");

  std::set<std::string> references, names, products, needed, required;
  for (const json& c : all.at("components")) {
    INFO(c);
    CHECK((c.at("type") == "library" || c.at("type") == "application"));
    CHECK_FALSE(c.at("version").get<std::string>().empty());
    CHECK(references.insert(c.at("bom-ref")).second);
    CHECK(names.insert(c.at("name")).second);
    CHECK((c.at("scope") == "required" || c.at("scope") == "excluded"));
    const std::string role = property(c, "dura:role");
    CHECK((c.at("scope") == "excluded") == (role == "tool"));
    if (role == "product")
      products.insert(c.at("bom-ref"));
    else if (role != "tool")
      required.insert(c.at("bom-ref"));
    const json& licence = c.at("licenses").at(0);
    CHECK((licence.contains("expression") ||
           (licence.contains("license") && (licence["license"].contains("id") || licence["license"].contains("name")))));
  }
  for (const char* name : {"Eigen", "stb", "toml++", "nlohmann-json"}) CHECK(names.count(name) == 1);
  CHECK(needs_of(all, dura.at("bom-ref")) == products);
  for (const std::string& product : products) needed.merge(needs_of(all, product));
  CHECK(needed == required);
  CHECK(all.at("dependencies").size() == products.size() + 1);
}

TEST_CASE("each package's list has that package's parts and no other's", "[sbom]") {
  const json all = sbom(), library = sbom("library"), programs = sbom("programs");
  const std::set<std::string> in_all = names_in(all), in_library = names_in(library), in_programs = names_in(programs);
  CHECK(names_in(sbom("development")) == in_library);
  for (const char* name : {"Eigen", "stb", "nlohmann-json", "libstdc++", "libdura"}) CHECK(in_library.count(name) == 1);
  for (const char* name : {"toml++", "HDF5", "HDF5 headers", "MPI", "MPI headers", "dura-programs", "dura-convert", "libdura_mpi"}) {
    INFO(name);
    CHECK(in_library.count(name) == 0);
  }
  for (const char* name : {"Eigen", "toml++", "dura-programs", "dura-convert"}) CHECK(in_programs.count(name) == 1);
  // No package has libdura_mpi.
  for (const char* name : {"MPI", "MPI headers", "libdura_mpi", "libdura"}) CHECK(in_programs.count(name) == 0);
  CHECK(in_programs.count("HDF5") == in_all.count("HDF5"));
  CHECK(in_all.count("MPI") == in_all.count("libdura_mpi"));
  // HDF5 is one program's, MPI one module's.
  for (const auto& [part, owner] : {std::pair("linked_HDF5", "dura-convert"), std::pair("linked_MPI", "libdura_mpi")})
    for (const char* product : {"libdura", "dura-programs", "dura-convert", "libdura_mpi"})
      if (std::string(product) != owner) CHECK(needs_of(all, product).count(part) == 0);
  if (in_all.count("HDF5")) CHECK(needs_of(all, "dura-convert").count("linked_HDF5") == 1);
  if (in_all.count("MPI")) CHECK(needs_of(all, "libdura_mpi").count("linked_MPI") == 1);

  const std::string notices = read_text_file(build_folder() + "/papers/library/third_party_notices.txt", 1 << 20);
  CHECK(notices.find("== Eigen ") != std::string::npos);
  CHECK(notices.find("== toml++ ") == std::string::npos);
}

TEST_CASE("the list of parts has the packages' versions, and every package that a source file was compiled with", "[sbom]") {
  if (output_of("command -v dpkg-query").empty()) return;
  const json all = sbom();
  for (const json& c : all.at("components")) {
    const std::string package = property(c, "dura:package");
    if (package.empty()) continue;
    INFO(package);
    CHECK(split_at(output_of("dpkg-query --show '--showformat=${Version}\\n' '" + package + "'"), '\n').front() == c.at("version"));
    CHECK(c.at("purl").get<std::string>().starts_with("pkg:deb/debian/"));
  }
  // Objects of the tests belong to no program; those of the library's rooms are in libdura.
  const std::string in_library = "^(engine\\/(CMakeFiles\\/dura_engine|cuda)|(layers|data|weights|models)\\/)";
  for (const auto& [list, objects] : {std::pair(all, std::string("^[^t]")), std::pair(sbom("library"), in_library)}) {
    const std::set<std::string> listed = debian_packages_in(list);
    CHECK(listed.count("libstb-dev") == 1);
    const std::vector<std::string> read = packages_of_headers(objects);
    if (std::filesystem::exists(build_folder() + "/build.ninja")) CHECK(std::count(read.begin(), read.end(), "libstb-dev") == 1);
    for (const std::string& package : read) {
      INFO(package << " was compiled in and is not listed");
      CHECK(listed.count(package) == 1);
    }
  }
}
