// dura-sbom.json, the list of what dura is made of: what CycloneDX requires is there, versions are those of the packages, and nothing that
// the compiler read is missing.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
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

json sbom() { return json::parse(read_text_file(build_folder() + "/papers/dura-sbom.json", 1 << 20)); }

std::string property(const json& component, const std::string& name) {
  for (const json& p : component.at("properties"))
    if (p.at("name") == name) return p.at("value");
  return "";
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

  std::set<std::string> references, names, required;
  for (const json& c : all.at("components")) {
    INFO(c);
    CHECK((c.at("type") == "library" || c.at("type") == "application"));
    CHECK_FALSE(c.at("version").get<std::string>().empty());
    CHECK(references.insert(c.at("bom-ref")).second);
    CHECK(names.insert(c.at("name")).second);
    CHECK((c.at("scope") == "required" || c.at("scope") == "excluded"));
    CHECK((c.at("scope") == "excluded") == (property(c, "dura:role") == "tool"));
    if (c.at("scope") == "required") required.insert(c.at("bom-ref"));
    const json& licence = c.at("licenses").at(0);
    CHECK((licence.contains("expression") ||
           (licence.contains("license") && (licence["license"].contains("id") || licence["license"].contains("name")))));
  }
  for (const char* name : {"Eigen", "stb", "toml++", "nlohmann-json"}) CHECK(names.count(name) == 1);
  const json& needs = all.at("dependencies").at(0);
  CHECK(needs.at("ref") == dura.at("bom-ref"));
  CHECK(needs.at("dependsOn").get<std::set<std::string>>() == required);
}

TEST_CASE("the list of parts has the packages' versions, and every package that a source file was compiled with", "[sbom]") {
  if (output_of("command -v dpkg-query").empty()) return;
  std::set<std::string> listed;
  const json all = sbom();
  for (const json& c : all.at("components")) {
    const std::string package = property(c, "dura:package");
    if (package.empty()) continue;
    listed.insert(package);
    INFO(package);
    CHECK(split_at(output_of("dpkg-query --show '--showformat=${Version}\\n' '" + package + "'"), '\n').front() == c.at("version"));
    CHECK(c.at("purl").get<std::string>().starts_with("pkg:deb/debian/"));
  }
  CHECK(listed.count("libstb-dev") == 1);
  // Ninja keeps the headers that the compiler read, from the build folder seen where a compiler cache made it so. Those of the tests belong
  // to no program.
  const std::string headers = output_of("cd '" + build_folder() +
                                        "' && ninja -t deps 2>/dev/null | awk '/^[^ ]/ { ours = !/^tests/ } ours && /^ / { print $1 }' | "
                                        "sort -u | xargs -r realpath --no-symlinks | grep ^/usr/ | xargs -r dpkg-query --search "
                                        "2>/dev/null | sed 's/[:,].*//' | sort -u");
  if (std::filesystem::exists(build_folder() + "/build.ninja")) CHECK(headers.find("libstb-dev") != std::string::npos);
  for (const std::string& package : split_at(headers, '\n'))
    if (!package.empty()) {
      INFO(package << " was compiled in and is not listed");
      CHECK(listed.count(package) == 1);
    }
}
