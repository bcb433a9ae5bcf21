// Numbers and truth as openpi_duquant's Python reads them from the environment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

struct PythonInt {
  std::string digits;  // decimal, without leading zeros; "-" if negative
  int64_t value = 0;   // the nearest int64
};

// int(text): blanks around it, a sign, `1_0` and digits of other scripts are fine; "16.0", "0x8"
// and
// "" are not. kInvalidArgument with Python's message.
Result<PythonInt> ParsePythonInt(std::string_view text);

// float(text): also "1_0.5", "1e3", "inf", "nan". kInvalidArgument with Python's message.
Result<double> ParsePythonFloat(std::string_view text);

// text not in ("0", "false", "False").
bool ParsePythonFlag(std::string_view text);

// text.strip().
std::string_view StripPythonBlanks(std::string_view text);

// text.split(",") with blanks stripped, without empty parts.
std::vector<std::string> SplitPythonList(std::string_view text);

// OPENPI_DUQUANT_WBITS, "name:bits,name:bits": the entries in order, those that the reference does
// not understand left out.
std::vector<std::pair<std::string, PythonInt>> ParseWbits(std::string_view text);

}  // namespace vlaserve
