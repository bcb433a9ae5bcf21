#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "quant/cache/pack_cache.h"
#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/cli/config_arguments.h"
#include "server/cli/exit_code.h"
#include "server/cli/json_output.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

struct Arguments {
  ConfigArguments config;
  std::string directory;
  bool json = false;
};

enum class Access { kLook, kChange };

// The cache that the arguments name; null if its folder does not exist, which is not made here.
class Folder {
 public:
  static Result<Folder> Open(const Arguments& arguments, Access access) {
    std::vector<std::string> more;
    if (!arguments.directory.empty()) more.push_back("pack_cache.dir=" + arguments.directory);
    VLASERVE_ASSIGN_OR_RETURN(const ResolvedConfig config, arguments.config.Load(more));
    PackCacheOptions options = config.config.pack_cache;
    if (options.directory.empty()) {
      return Status(
          StatusCode::kInvalidArgument, "pack_cache.dir",
          "no folder for the pack cache is known: neither XDG_CACHE_HOME nor HOME is set");
    }
    Folder folder;
    folder.directory_ = options.directory;
    if (!PosixFileSystem().IsDirectory(options.directory)) {
      if (arguments.directory.empty()) return folder;
      return Status(StatusCode::kNotFound, options.directory + ": no such folder");
    }
    // Whether a server uses the cache is another question.
    if (options.mode == PackCacheOptions::Mode::kOff) {
      options.mode = PackCacheOptions::Mode::kReadWrite;
    }
    if (access == Access::kLook) options.mode = PackCacheOptions::Mode::kReadOnly;
    // What it could warn of is an error of the operation that follows.
    VLASERVE_ASSIGN_OR_RETURN(folder.cache_, PackCache::Open(PosixFileSystem(), options, {}));
    return folder;
  }

  const std::string& directory() const { return directory_; }
  PackCache* cache() const { return cache_.get(); }

 private:
  std::string directory_;
  std::unique_ptr<PackCache> cache_;
};

std::string UtcTime(int64_t unix_seconds) {
  const std::time_t seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return std::to_string(unix_seconds);
  char text[32];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

// What the pack says of itself; it is for people, and anything may stand there.
Json Provenance(const PackCacheEntry& entry) {
  Json provenance = Json::parse(entry.provenance, nullptr, /*allow_exceptions=*/false);
  return provenance.is_object() ? provenance : Json::object();
}

std::string LayerName(const PackCacheEntry& entry) {
  const Json provenance = Provenance(entry);
  const auto layer = provenance.find("layer");
  return layer != provenance.end() && layer->is_string() ? layer->get<std::string>() : "";
}

Json EntryJson(const PackCacheEntry& entry) {
  return {{"key", entry.sha256},
          {"bytes", entry.bytes},
          {"last_used", UtcTime(entry.last_used_unix_seconds)},
          {"manifest", entry.manifest},
          {"provenance", Provenance(entry)},
          {"problem", entry.problem}};
}

// The entries as `read` gives them, shown as `text` or as JSON.
int Show(const Arguments& arguments, const std::string& command,
         const std::function<Result<std::vector<PackCacheEntry>>(const PackCache&)>& read,
         const std::function<void(const std::vector<PackCacheEntry>&)>& text, bool unsound_fails) {
  const auto folder = Folder::Open(arguments, Access::kLook);
  if (!folder.ok()) return Fail(command, folder.status());
  std::vector<PackCacheEntry> entries;
  if (folder->cache() != nullptr) {
    auto found = read(*folder->cache());
    if (!found.ok()) return Fail(command, found.status());
    entries = *std::move(found);
  }
  uint64_t bytes = 0;
  size_t unsound = 0;
  Json list = Json::array();
  for (const PackCacheEntry& entry : entries) {
    bytes += entry.bytes;
    unsound += entry.problem.empty() ? 0U : 1U;
    list.push_back(EntryJson(entry));
  }
  if (arguments.json) {
    std::cout << Json{{"directory", folder->directory()},
                      {"entries", std::move(list)},
                      {"bytes", bytes},
                      {"unsound", unsound}}
                     .dump(2, ' ', false, Json::error_handler_t::replace)
              << std::endl;
  } else {
    text(entries);
    std::cout << folder->directory() << ": " << entries.size() << " packs, " << bytes << " bytes, "
              << unsound << " unsound" << std::endl;
  }
  return unsound_fails && unsound > 0 ? kExitFailure : kExitOk;
}

int List(const Arguments& arguments) {
  const auto read = [](const PackCache& cache) { return cache.List(); };
  const auto text = [](const std::vector<PackCacheEntry>& entries) {
    for (const PackCacheEntry& entry : entries) {
      std::cout << entry.sha256.substr(0, 12) << "  " << UtcTime(entry.last_used_unix_seconds)
                << "  " << entry.bytes << "  "
                << (entry.problem.empty() ? LayerName(entry) : "unsound: " + entry.problem) << "\n";
    }
  };
  return Show(arguments, "cache ls", read, text, /*unsound_fails=*/false);
}

int Verify(const Arguments& arguments) {
  const auto read = [](const PackCache& cache) { return cache.Verify(); };
  const auto text = [](const std::vector<PackCacheEntry>& entries) {
    for (const PackCacheEntry& entry : entries) {
      if (!entry.problem.empty()) std::cout << "unsound: " << entry.problem << "\n";
    }
  };
  return Show(arguments, "cache verify", read, text, /*unsound_fails=*/true);
}

int Remove(const Arguments& arguments, const std::string& command,
           const std::function<Result<uint64_t>(PackCache&)>& remove) {
  const auto folder = Folder::Open(arguments, Access::kChange);
  if (!folder.ok()) return Fail(command, folder.status());
  uint64_t freed = 0;
  if (folder->cache() != nullptr) {
    const auto removed = remove(*folder->cache());
    if (!removed.ok()) return Fail(command, removed.status());
    freed = *removed;
  }
  if (arguments.json) {
    std::cout << JsonText(Json{{"directory", folder->directory()}, {"freed_bytes", freed}})
              << std::endl;
  } else {
    std::cout << folder->directory() << ": " << freed << " bytes freed" << std::endl;
  }
  return kExitOk;
}

int CollectGarbage(const Arguments& arguments) {
  return Remove(arguments, "cache gc", [](PackCache& cache) { return cache.CollectGarbage(); });
}

int Clear(const Arguments& arguments) {
  return Remove(arguments, "cache clear", [](PackCache& cache) { return cache.Clear(); });
}

}  // namespace

void AddCacheCommand(CLI::App& app, Action& action) {
  CLI::App* cache = app.add_subcommand("cache", "Look after the pack cache: quantized weights");
  cache->group(kQuantizationCommands)->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*run)(const Arguments&)) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command = cache->add_subcommand(name, help);
    command->add_option("--dir", arguments->directory, "The folder: pack_cache.dir")
        ->check(CheckPath);
    arguments->config.AddTo(*command);
    command->add_flag("--json", arguments->json, "Print JSON");
    command->callback(
        [arguments, run, &action] { action = [arguments, run] { return run(*arguments); }; });
  };
  add("ls", "Every pack with its size, last use and layer", List);
  add("verify", "Check every byte of every pack; exit code 1 if one is unsound", Verify);
  add("gc",
      "Remove unsound packs, files of writers that died, and the least recently used packs above "
      "pack_cache.max_bytes",
      CollectGarbage);
  add("clear", "Remove all packs that are not in use", Clear);
}

}  // namespace vlaserve
