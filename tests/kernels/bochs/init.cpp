// The first process of the machine that run.sh boots: runs /test once for each VLASERVE_ISA, says
// which instruction set was chosen and how the test ended, and switches the machine off.
#include <cstdio>
#include <cstdlib>

#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kernels/isa.h"

namespace {

using vlaserve::kernels::IsaChoice;
using vlaserve::kernels::IsaName;

// Returns the exit status of /test, or -1.
int RunTest(const char* isa) {
  const IsaChoice choice = vlaserve::kernels::ChooseIsa(isa);
  std::printf("bochs: VLASERVE_ISA '%s' chooses %s%s%s\n", isa, IsaName(choice.isa).data(),
              choice.problem.empty() ? "" : ": ", choice.problem.c_str());
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    setenv("VLASERVE_ISA", isa, 1);
    execl("/test", "/test", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace

int main() {
  bool passed = true;
  for (const char* isa : {"", "avx2", "portable"}) {
    const int status = RunTest(isa);
    std::printf("bochs: /test ended with %d\n", status);
    passed = passed && status == 0;
  }
  std::printf("bochs: %s\n", passed ? "passed" : "failed");
  std::fflush(stdout);
  tcdrain(STDOUT_FILENO);
  reboot(RB_POWER_OFF);
  return 1;
}
