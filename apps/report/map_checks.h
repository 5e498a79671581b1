// How the two checks of heat maps are shown: cascading randomisation and deletion curves, as text and on a page.
#pragma once
#include <string>
#include <vector>

#include "apps/report/html.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/sanity_check.h"

namespace dura {

// A header, then a row for each step.
std::vector<std::vector<std::string>> sanity_table(const SanityCheck& check);
std::string sanity_text(const SanityCheck& check);
// A row for each of the slices: its map at every step.
Image sanity_picture(const SanityCheck& check, int64_t height = 112);
void add_sanity(HtmlPage& page, const SanityCheck& check);

std::string deletion_text(const DeletionCurves& curves);  // one sentence
void add_deletion(HtmlPage& page, const DeletionCurves& curves);

}  // namespace dura
