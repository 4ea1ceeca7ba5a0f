// A browser without a window, driven by its DevTools protocol over a pipe: messages of
// JSON, each ended by a zero byte, on its descriptors 3 and 4. No port, no library.
// What a page complains of and what it wants from elsewhere is collected. For tests
// alone.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::reports {

class TestBrowser {
 public:
  // Its profile goes into `folder`.
  explicit TestBrowser(const std::filesystem::path& folder) {
    int commands[2], answers[2];
    if (pipe2(commands, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe for the browser");
    }
    // Out of the way of 3 and 4, where the browser looks for them.
    const int its_input = fcntl(commands[0], F_DUPFD_CLOEXEC, 10);
    const int its_output = fcntl(answers[1], F_DUPFD_CLOEXEC, 10);
    close(commands[0]);
    close(answers[1]);
    commands_ = commands[1];
    answers_ = answers[0];
    start(folder, its_input, its_output);
    close(its_input);
    close(its_output);
    const auto target = call("Target.createTarget", {{"url", "about:blank"}});
    session_ = call("Target.attachToTarget",
                    {{"targetId", target["targetId"]}, {"flatten", true}})["sessionId"];
    for (const char* domain : {"Page", "Runtime", "Log", "Network"}) {
      call(std::string(domain) + ".enable");
    }
  }

  ~TestBrowser() {
    close(commands_);  // it ends with its pipe
    close(answers_);
    for (int i = 0; i < 100; ++i) {
      if (waitpid(pid_, nullptr, WNOHANG) != 0) return;
      usleep(50'000);
    }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  TestBrowser(const TestBrowser&) = delete;
  TestBrowser& operator=(const TestBrowser&) = delete;

  nlohmann::json call(const std::string& method,
                      const nlohmann::json& params = nlohmann::json::object()) {
    nlohmann::json message = {{"id", ++last_}, {"method", method}, {"params", params}};
    if (!session_.empty()) message["sessionId"] = session_;
    const std::string text = message.dump() + '\0';
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = write(commands_, text.data() + sent, text.size() - sent);
      if (n <= 0) throw std::runtime_error("the browser has gone");
      sent += static_cast<size_t>(n);
    }
    while (true) {
      const nlohmann::json answer = read_message();
      if (answer.value("id", 0) != last_) {
        note(answer);
      } else if (answer.contains("error")) {
        throw std::runtime_error(method + ": " + answer["error"].dump());
      } else {
        return answer["result"];
      }
    }
  }

  // The value of an expression in the page, a promise's when it is kept.
  nlohmann::json evaluate(const std::string& expression) {
    const auto result = call(
        "Runtime.evaluate",
        {{"expression", expression}, {"awaitPromise", true}, {"returnByValue", true}});
    if (result.contains("exceptionDetails")) {
      throw std::runtime_error(result["exceptionDetails"].dump());
    }
    return result["result"].value("value", nlohmann::json());
  }

  void resize(int width) {
    call("Emulation.setDeviceMetricsOverride", {{"width", width},
                                                {"height", 900},
                                                {"deviceScaleFactor", 1},
                                                {"mobile", width < 600}});
  }

  // `media`: "" or "print".
  void look(const std::string& scheme, const std::string& media = "") {
    call("Emulation.setEmulatedMedia",
         {{"media", media},
          {"features", {{{"name", "prefers-color-scheme"}, {"value", scheme}}}}});
  }

  // `address`: after the file's path, "#model=mlp".
  void open(const std::filesystem::path& file, const std::string& address = "") {
    call("Page.navigate", {{"url", "about:blank"}});
    problems_.clear();
    call("Page.navigate", {{"url", "file://" + file.string() + address}});
    evaluate(
        "new Promise((done) => { const look = () => document.readyState === 'complete' "
        "&& location.protocol === 'file:' ? done() : setTimeout(look, 20); look(); })");
  }

  // A chart is drawn when it comes near the window, again when another choice is made.
  void draw(const std::string& chart) {
    evaluate("document.querySelector('figure[data-chart=" + chart +
             "]').scrollIntoView()");
    settle("[data-chart=" + chart + "]");
  }
  void draw_all() {
    const auto charts = evaluate(
        "[...document.querySelectorAll('figure[data-chart]')].map((f) => "
        "f.dataset.chart)");
    for (const auto& chart : charts) draw(chart);
    evaluate("scrollTo(0, 0)");
  }
  // Waits until no drawing is under way.
  void settle(const std::string& figures = "[data-drawn]") {
    evaluate(
        "new Promise((done, fail) => { const until = Date.now() + 30000; const "
        "look = () => [...document.querySelectorAll('figure" +
        figures +
        "')].every((f) => f.dataset.drawn && f.dataset.drawn !== 'drawing') ? "
        "done() : Date.now() > until ? fail('" +
        figures + " is not drawn') : setTimeout(look, 5); look(); })");
  }

  // What the page logged, refused or asked of anywhere but its own file, since open().
  const std::vector<std::string>& problems() {
    evaluate("1");  // what was on its way has come
    return problems_;
  }

 private:
  void start(const std::filesystem::path& folder, int input, int output) {
    std::string browser;
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
      const auto path = std::filesystem::path("/usr/bin") / name;
      if (browser.empty() && std::filesystem::exists(path)) browser = path.string();
    }
    if (browser.empty()) {
      throw std::runtime_error("no browser: apt-get install -y chromium");
    }
    std::vector<std::string> command = {
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--proxy-server=127.0.0.1:9",
        "--remote-debugging-pipe",
        "--user-data-dir=" + (folder / "profile").string(),
        "about:blank"};
    std::vector<char*> arguments;
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, 3);
    posix_spawn_file_actions_adddup2(&actions, output, 4);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const int failure = posix_spawn(&pid_, browser.c_str(), &actions, nullptr,
                                    arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) throw std::runtime_error(browser + " cannot be started");
  }

  nlohmann::json read_message() {
    for (size_t end = buffer_.find('\0'); end == std::string::npos;
         end = buffer_.find('\0')) {
      pollfd ready = {answers_, POLLIN, 0};
      if (poll(&ready, 1, 60'000) <= 0) throw std::runtime_error("the browser hangs");
      char bytes[65536];
      const ssize_t n = read(answers_, bytes, sizeof(bytes));
      if (n <= 0) throw std::runtime_error("the browser has gone");
      buffer_.append(bytes, static_cast<size_t>(n));
    }
    const size_t end = buffer_.find('\0');
    const auto message = nlohmann::json::parse(buffer_.substr(0, end));
    buffer_.erase(0, end + 1);
    return message;
  }

  void note(const nlohmann::json& event) {
    const std::string method = event.value("method", "");
    if (method == "Runtime.consoleAPICalled" || method == "Runtime.exceptionThrown" ||
        method == "Log.entryAdded") {
      problems_.push_back(event["params"].dump());
    }
    if (method != "Network.requestWillBeSent") return;
    const std::string url = event["params"]["request"]["url"];
    for (const char* own : {"file:", "data:", "blob:", "about:"}) {
      if (url.rfind(own, 0) == 0) return;
    }
    problems_.push_back("request: " + url);
  }

  int commands_ = -1;
  int answers_ = -1;
  pid_t pid_ = 0;
  int last_ = 0;
  std::string session_;
  std::string buffer_;
  std::vector<std::string> problems_;
};

}  // namespace lockstep::reports
