#include "tests/support/folders.h"

std::string source_folder() { return DURA_SOURCE_DIR; }
std::string build_folder() { return DURA_BINARY_DIR; }
