// How the scores and the two checks of heat maps, cascading randomisation and deletion curves, are shown: as text and on a page.
#pragma once
#include <string>
#include <vector>

#include "apps/report/html.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/heat_map_score.h"
#include "models/explain/sanity_check.h"

namespace dura {

// A sentence about all pictures, `what` naming the maps, and a table with a row for each guess in each group.
std::string score_text(const std::vector<ScoreGroup>& groups, const std::string& what);
void add_scores(HtmlPage& page, const std::vector<ScoreGroup>& groups, const std::string& what);

std::string sanity_text(const SanityCheck& check);
// A row for each of the slices: its map at every step.
Image sanity_picture(const SanityCheck& check, int64_t height = 112);
void add_sanity(HtmlPage& page, const SanityCheck& check);

std::string deletion_text(const DeletionCurves& curves);  // one sentence
void add_deletion(HtmlPage& page, const DeletionCurves& curves);

}  // namespace dura
