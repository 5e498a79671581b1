// Where the tests find the source tree (golden files, include rules) and the programs that were built.
#pragma once
#include <string>

std::string source_folder();
std::string build_folder();
