// A checkpoint exported, loaded and served in this process, on a port of its own.
#pragma once

#include <memory>
#include <string>

#include "model/export/export.h"
#include "server/client/client.h"
#include "server/service/server.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {

class ServedPolicy {
 public:
  // Exports as `options` say (`out` is chosen here), computes in float32, and waits until the
  // server serves. Fails the running test if anything on the way does.
  explicit ServedPolicy(ExportOptions options);

  // The reply to a request; fails the test if it is an error.
  InferReply Infer(const InferCallRequest& request);

 private:
  TempDir directory_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
};

}  // namespace vlaserve
