// measure: runs programs in turn and says how long each took.
//
//   measure rounds 30 <PLAN      every command of the plan in order, 30 times over
//   measure flight 64 <PLAN      every command once, 64 at a time
//
// A plan has one command a line, its fields separated by tabs: a label, the network namespace's
// path, the file for standard input, the number of environment variables, those, the program, its
// arguments. A label of "-" is run and not reported; the program "pause" is none: for as many
// microseconds as its argument says nothing runs. Printed: "LABEL NANOSECONDS PEAK-KIB PAGE-FAULTS" for each
// run (fork, exec and wait); for `flight` one line, "all NANOSECONDS FAILURES". A command that
// fails in `rounds` ends everything, with what it printed. Linked statically: the peak of a child
// counts the memory of its parent, so that has to be small.

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Command {
  std::string label;
  int netns = -1;
  int input = -1;
  int policy = SCHED_OTHER;
  std::vector<char*> environment;
  std::vector<char*> argv;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int open_or_die(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(path);
  return fd;
}

// Cuts the line in place: the fields live as long as it does.
Command parse(char* line) {
  std::vector<char*> fields;
  for (char* field = strtok(line, "\t"); field != nullptr; field = strtok(nullptr, "\t"))
    fields.push_back(field);
  const std::size_t variables = std::strtoul(fields.at(4), nullptr, 10);
  const auto program = fields.begin() + 5 + static_cast<std::ptrdiff_t>(variables);
  Command command{fields[0],
                  open_or_die(fields[1]),
                  open_or_die(fields[2]),
                  std::string_view(fields[3]) == "first" ? SCHED_FIFO : SCHED_OTHER,
                  {fields.begin() + 5, program},
                  {program, fields.end()}};
  command.environment.push_back(nullptr);
  command.argv.push_back(nullptr);
  return command;
}

std::vector<Command> read_plan() {
  std::vector<Command> commands;
  char* line = nullptr;
  std::size_t size = 0;
  for (ssize_t length = 0; (length = getline(&line, &size, stdin)) > 0; line = nullptr, size = 0) {
    line[length - 1] = '\0';
    commands.push_back(parse(line));
  }
  return commands;
}

pid_t start(const Command& command, int output) {
  if (setns(command.netns, CLONE_NEWNET) != 0) die("setns");
  // Programs at once share the file but not the place where they read.
  const std::string path = "/proc/self/fd/" + std::to_string(command.input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, path.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSCHEDULER);
  posix_spawnattr_setschedpolicy(&attributes, command.policy);
  const sched_param priority{.sched_priority = command.policy == SCHED_FIFO ? 1 : 0};
  posix_spawnattr_setschedparam(&attributes, &priority);
  pid_t child = 0;
  const int error = posix_spawn(&child, command.argv[0], &actions, &attributes, command.argv.data(),
                                command.environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) die(command.argv[0]);
  return child;
}

long long now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

[[noreturn]] void give_up(const Command& command, int output) {
  char text[4096];
  const ssize_t length = pread(output, text, sizeof text, 0);
  std::fprintf(stderr, "%s failed: %.*s\n", command.label.c_str(),
               length > 0 ? static_cast<int>(length) : 0, text);
  std::exit(1);
}

void run_once(const Command& command, int output) {
  if (std::string_view(command.argv[0]) == "pause") {
    const long microseconds = std::atol(command.argv[1]);
    const timespec time{microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
    (void)nanosleep(&time, nullptr);
    return;
  }
  if (ftruncate(output, 0) != 0 || lseek(output, 0, SEEK_SET) != 0) die("memfd");
  const long long begin = now();
  const pid_t child = start(command, output);
  int status = 0;
  rusage usage{};
  if (wait4(child, &status, 0, &usage) != child) die("wait4");
  const long long end = now();
  if (status != 0) give_up(command, output);
  if (command.label != "-")
    std::printf("%s %lld %ld %ld\n", command.label.c_str(), end - begin, usage.ru_maxrss,
                usage.ru_minflt);
}

void run_rounds(const std::vector<Command>& commands, int rounds, int output) {
  const sched_param first{.sched_priority = 1};
  (void)sched_setscheduler(0, SCHED_FIFO, &first);
  for (int round = 0; round < rounds; ++round)
    for (const Command& command : commands) run_once(command, output);
}

void run_in_flight(const std::vector<Command>& commands, int most, int output) {
  int running = 0;
  int failures = 0;
  const auto wait_for_one = [&] {
    int status = 0;
    if (wait(&status) < 0) die("wait");
    if (status != 0) ++failures;
    --running;
  };
  const long long begin = now();
  for (const Command& command : commands) {
    if (running == most) wait_for_one();
    start(command, output);
    ++running;
  }
  while (running > 0) wait_for_one();
  std::printf("all %lld %d\n", now() - begin, failures);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: measure rounds|flight NUMBER <PLAN\n", stderr);
    return 2;
  }
  const int output = memfd_create("output", MFD_CLOEXEC);
  if (output < 0) die("memfd_create");
  const std::vector<Command> commands = read_plan();
  const int number = std::atoi(argv[2]);
  if (std::string_view(argv[1]) == "rounds")
    run_rounds(commands, number, output);
  else
    run_in_flight(commands, number, output);
  return 0;
}
