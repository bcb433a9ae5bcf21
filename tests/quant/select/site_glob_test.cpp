#include "quant/select/site_glob.h"

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

TEST_CASE("a star stays within its part of a site name") {
  CHECK(MatchesSite("llm.*.down", "llm.3.down"));
  CHECK(!MatchesSite("llm.*.down", "llm.3.x.down"));
  CHECK(!MatchesSite("llm.*.down", "llm.3.up"));
  CHECK(MatchesSite("vision.2*.fc*", "vision.26.fc1"));
  CHECK(!MatchesSite("vision.2*.fc*", "vision.3.fc1"));
  CHECK(MatchesSite("*_proj", "action_out_proj"));
  CHECK(MatchesSite("a*c*e", "abcde"));
  CHECK(!MatchesSite("a*ca", "aca.b"));
  CHECK(!MatchesSite("aba*ba", "aba"));
}

TEST_CASE("a last part that is a star stands for all that follows") {
  CHECK(MatchesSite("expert.*", "expert.0.q"));
  CHECK(MatchesSite("expert.*", "expert.norm"));
  CHECK(MatchesSite("*", "expert.0.q"));
  CHECK(!MatchesSite("expert.*", "expert"));
  CHECK(!MatchesSite("expert.*", "llm.0.q"));
  CHECK(!MatchesSite("expert.0", "expert.0.q"));
  CHECK(!MatchesSite("expert.0.q.x", "expert.0.q"));
}
