#include "engine/base/numbers.h"
#include "engine/base/text.h"
#include "tests/support/catch.h"

using namespace dura;

TEST_CASE("texts are joined, cut, trimmed and written in small letters", "[base]") {
  CHECK(joined({}, ", ").empty());
  CHECK(joined({"", "b", ""}, ",") == ",b,");
  CHECK(first_few({"a", "b", "c"}, "; ", 3) == "a; b; c");
  CHECK(first_few({"a", "b", "c", "d"}, "; ", 3) == "a; b; c; ...");
  CHECK(split_at("", ',') == std::vector<std::string>{""});
  CHECK(split_at(",a,,b", ',') == std::vector<std::string>{"", "a", "", "b"});
  CHECK(trimmed(" \ta b\t ") == "a b");
  CHECK(trimmed(" \t").empty());
  CHECK(lower_case("AZaz\xc3\x84_9[@") == "azaz\xc3\x84_9[@");
  CHECK(hex_digits(0x0f) == "0f");
  CHECK(hex_digits(0xa0) == "a0");
}

TEST_CASE("a number is the whole text, finite, and fits its type", "[base]") {
  CHECK(parse_number("-1.5e3") == -1500);
  CHECK(parse_number("0.1") == 0.1);
  for (const char* text : {"", " 1", "1 ", "+1", "1,5", "0x10", "nan", "inf", "1e999", "1.2.3", "one"}) {
    INFO(text);
    CHECK_FALSE(parse_number(text));
  }
  CHECK(parse_number<int>("-7") == -7);
  CHECK(parse_number<uint8_t>("255") == 255);
  for (const char* text : {"256", "-1", "1.0", "", "7 "}) {
    INFO(text);
    CHECK_FALSE(parse_number<uint8_t>(text));
  }
  for (double v : {0.1, 1.0 / 3, 1e300, -2.0, 5e-324}) CHECK(parse_number(shortest(v)) == v);
  CHECK(shortest(0.1) == "0.1");
}

TEST_CASE("division rounds up, quantiles are interpolated", "[base]") {
  CHECK(ceil_div(0, 4) == 0);
  CHECK(ceil_div(4, 4) == 1);
  CHECK(ceil_div(int64_t{5}, int64_t{4}) == 2);
  CHECK(quantile({}, 0.5) == 0);
  CHECK(quantile({1, 2, 4}, 0) == 1);
  CHECK(quantile({1, 2, 4}, 1) == 4);
  CHECK(quantile({1, 2, 4}, 0.75) == 3);
}
