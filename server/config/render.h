// The option table and a resolved configuration as text: for people, for programs, for the README
// and for editors. Every rendering ends with a newline.
#pragma once

#include <string>

#include "server/config/load.h"

namespace vlaserve {

// `vlaserve config show`: one line per option, key, value, and where the value comes from.
std::string ShowText(const ResolvedConfig& config);

// The same as JSON: {"server.address": {"value": …, "source": "file", "origin": "demo.json"}, …};
// unset options have the value null.
std::string ShowJson(const ResolvedConfig& config);

// JSON schema (draft 2020-12) of a config file; configs/schema.json is this text.
std::string ConfigSchema();

// A Markdown table of all options, which stands in the README between the markers
// "<!-- options:begin -->" and "<!-- options:end -->".
std::string MarkdownTable();

// The options as they appear in `vlaserve serve --help`.
std::string OptionsHelp();

}  // namespace vlaserve
