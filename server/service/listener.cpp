#include "server/service/listener.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vlaserve {
namespace {

constexpr char kField[] = "server.address";
constexpr int kBacklog = 1024;
constexpr rlim_t kReservedFiles = 64;

struct HostPort {
  std::string host;
  std::string port;
};

std::optional<HostPort> Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  HostPort parts{address.substr(0, colon), address.substr(colon + 1)};
  int port = -1;
  const char* end = parts.port.data() + parts.port.size();
  const auto [rest, error] = std::from_chars(parts.port.data(), end, port);
  if (error != std::errc() || rest != end || port < 0 || port > 65535) return std::nullopt;
  if (parts.host.front() == '[') {
    if (parts.host.size() < 3 || parts.host.back() != ']') return std::nullopt;
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  } else if (parts.host.find(':') != std::string::npos) {
    return std::nullopt;  // an IPv6 address without brackets
  }
  return parts;
}

bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

void SetPort(sockaddr& address, int port) {
  const auto network = htons(static_cast<uint16_t>(port));
  if (address.sa_family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(address).sin_port = network;
  } else {
    reinterpret_cast<sockaddr_in6&>(address).sin6_port = network;
  }
}

int PortOf(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  return ntohs(storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(storage).sin_port
                                            : reinterpret_cast<sockaddr_in6&>(storage).sin6_port);
}

// A listening socket, or -1 with errno set.
int Listen(const addrinfo& info) {
  const int fd =
      socket(info.ai_family, info.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info.ai_protocol);
  if (fd < 0) return -1;
  // A restart need not wait for old connections; on Linux this does not let two servers listen.
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, info.ai_addr, info.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

Listener::Listener() : wake_fd_(eventfd(0, EFD_CLOEXEC)), spare_fd_(OpenSpare()) {}

Listener::~Listener() {
  Stop();
  if (wake_fd_ >= 0) close(wake_fd_);
  if (spare_fd_ >= 0) close(spare_fd_);
}

Result<std::unique_ptr<Listener>> Listener::Bind(const std::string& address, bool insecure) {
  const std::optional<HostPort> parts = Split(address);
  if (!parts) {
    return Status(StatusCode::kInvalidArgument, kField,
                  "\"" + address + "\", expected HOST:PORT or [IPV6]:PORT with a port up to 65535");
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found)) {
    return Status(StatusCode::kInvalidArgument, kField,
                  "\"" + address + "\" is not an address: " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);

  std::unique_ptr<Listener> listener(new Listener);
  std::string failure;
  for (addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (!insecure && !IsLoopback(*info->ai_addr)) {
      return Status(StatusCode::kFailedPrecondition, kField,
                    "\"" + address +
                        "\" can be reached from other machines and the traffic is in clear text: "
                        "use a loopback address, or set server.insecure to accept that");
    }
    // With port 0 the first address chooses and the others follow.
    if (listener->port_ != 0) SetPort(*info->ai_addr, listener->port_);
    const int fd = Listen(*info);
    if (fd < 0) {
      // "localhost" may stand for ::1 on a machine without IPv6.
      const bool absent = errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT;
      failure = "cannot listen on " + address + ": " + std::strerror(errno);
      if (absent && info->ai_next != nullptr) continue;
      if (absent && !listener->sockets_.empty()) break;
      return Status(StatusCode::kUnavailable, failure);
    }
    listener->sockets_.push_back(fd);
    listener->port_ = PortOf(fd);
  }
  return listener;
}

void Listener::Start(OnConnection on_connection) {
  thread_ = std::thread([this, on_connection = std::move(on_connection)] { Run(on_connection); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
    thread_.join();
  }
  for (const int socket : sockets_) close(socket);
  sockets_.clear();
}

void Listener::Run(const OnConnection& on_connection) {
  std::vector<pollfd> fds;
  for (const int socket : sockets_) fds.push_back({socket, POLLIN, 0});
  fds.push_back({wake_fd_, POLLIN, 0});
  for (;;) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // EINTR; nothing else can happen here
    if (fds.back().revents != 0) return;
    for (size_t i = 0; i + 1 < fds.size(); ++i) {
      if (fds[i].revents != 0) AcceptOne(fds[i].fd, on_connection);
    }
  }
}

void Listener::AcceptOne(int socket, const OnConnection& on_connection) {
  const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE) return;  // the peer has gone, or next time
    if (spare_fd_ >= 0) close(spare_fd_);
    const int surplus = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (surplus >= 0) close(surplus);
    spare_fd_ = OpenSpare();
    spdlog::warn("no file descriptors left: a connection was refused");
    return;
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  // The lowest free number is given out, so the number tells how many are in use.
  const rlim_t reserved = std::min(kReservedFiles, limit.rlim_cur / 4);
  if (static_cast<rlim_t>(fd) >= limit.rlim_cur - reserved) {
    close(fd);
    spdlog::warn("{} of {} file descriptors in use: a connection was refused", fd, limit.rlim_cur);
    return;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  on_connection(fd);
}

}  // namespace vlaserve
