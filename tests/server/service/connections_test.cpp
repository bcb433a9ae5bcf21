// Connections that mean no good. Each case lowers the process's limit of open files or holds raw
// sockets, all on loopback.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/server/service/support/reflection.h"
#include "tests/server/service/support/server_fixture.h"

namespace vlaserve {
namespace {

using testing::ServerFixture;
using testing::ValidRequest;

// TCP connections that never say a word.
class SilentClients {
 public:
  explicit SilentClients(int port) : port_(port) {}
  ~SilentClients() {
    for (const int fd : sockets_) close(fd);
  }

  // False if the process has no descriptor left for one more.
  bool Add() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    sockets_.push_back(fd);
    return true;
  }

  size_t size() const { return sockets_.size(); }

  // How many the server has closed: their reads end instead of blocking.
  size_t Closed() const {
    size_t closed = 0;
    for (const int fd : sockets_) {
      char buffer[256];
      ssize_t got = 0;
      while ((got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
      }
      if (got == 0 || errno == ECONNRESET) ++closed;
    }
    return closed;
  }

 private:
  const int port_;
  std::vector<int> sockets_;
};

// Entries of a folder of /proc/self: "fd" or "task" (threads).
size_t CountOwn(const char* folder) {
  size_t count = 0;
  DIR* dir = opendir((std::string("/proc/self/") + folder).c_str());
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// Lowers the soft limit of open files for its lifetime.
class FileLimit {
 public:
  explicit FileLimit(size_t files) {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit lowered = before_;
    lowered.rlim_cur = files;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &lowered) == 0);
  }
  ~FileLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_CASE("silent connections are closed after the handshake time and nobody notices them") {
  ServerFixture fixture;
  fixture.options.handshake_ms = 500;
  fixture.Start();
  SilentClients silent(fixture.server->port());
  for (int i = 0; i < 50; ++i) REQUIRE(silent.Add());
  CHECK(fixture.Infer(ValidRequest()).ok());
  CHECK(testing::Eventually([&] { return silent.Closed() == silent.size(); }));
  CHECK(fixture.Infer(ValidRequest()).ok());
}

TEST_CASE("the server outlives a lack of file descriptors (grpc#20418)") {
  ServerFixture fixture;
  fixture.options.handshake_ms = 500;
  fixture.Start();
  REQUIRE(fixture.Infer(ValidRequest()).ok());
  {
    // Attacker and server share this process's descriptors: room for about 60 connections.
    const FileLimit limit(CountOwn("fd") + 120);
    SilentClients silent(fixture.server->port());
    while (silent.Add()) {
    }
    CHECK(silent.size() > 30);
    // An established connection goes on working.
    CHECK(fixture.Infer(ValidRequest()).ok());
    CHECK(testing::Eventually([&] { return silent.Closed() == silent.size(); }));
  }
  // And new ones are accepted again.
  for (int i = 0; i < 5; ++i) {
    testing::PendingInfer fresh(fixture, ValidRequest());
    CHECK(fresh.Await().ok());
  }
}

TEST_CASE("open reflection streams do not cost a thread each without end") {
  ServerFixture fixture;
  fixture.Start();
  // gRPC's reflection service is a synchronous one.
  const size_t before = CountOwn("task");
  std::vector<std::unique_ptr<testing::ReflectionStream>> streams;
  for (int i = 0; i < 60; ++i) {
    streams.push_back(std::make_unique<testing::ReflectionStream>(fixture.NewChannel()));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(CountOwn("task") < before + 30);
  CHECK(fixture.Infer(ValidRequest()).ok());
  CHECK(fixture.Health() == "SERVING");
}

TEST_CASE("a hundred clients at once are answered or told that the queue is full") {
  ServerFixture fixture;
  fixture.options.queue_capacity = 16;
  fixture.Start();
  std::vector<std::unique_ptr<testing::PendingInfer>> calls;
  for (int i = 0; i < 100; ++i) {
    calls.push_back(std::make_unique<testing::PendingInfer>(fixture, ValidRequest()));
  }
  int served = 0;
  for (const auto& call : calls) {
    const grpc::Status& status = call->Await();
    if (status.ok()) {
      ++served;
    } else {
      CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
      CHECK(testing::Reason(status) == "QUEUE_FULL");
    }
  }
  CHECK(served >= 16);
  CHECK(fixture.control.infers_ended == served);
}

}  // namespace
}  // namespace vlaserve
