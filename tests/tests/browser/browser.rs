//! A real browser, told what to do.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use guthi_tests::cluster::HANG;
use serde_json::{Value, json};

/// How long a browser may take to end.
const ENDING_MAX: Duration = Duration::from_secs(10);
const NEEDS: &str = "these tests need chromium and chromedriver: on Debian, apt-get install chromium chromium-driver";

/// A browser with one window, and the program that tells it what to do. Both end with this.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts one; where there is none, it says why and there is none. With `CI=true` that is a failure.
    pub(crate) async fn or_skip() -> Option<Self> {
        let missing = ["chromium", "chromedriver"].into_iter().find(|program| !is_installed(program));
        match missing {
            None => Some(Self::start().await),
            Some(program) if env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{program} is missing: {NEEDS}"),
            Some(program) => {
                eprintln!("skipped, since {program} is missing: {NEEDS}");
                None
            }
        }
    }

    async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        let mut driver =
            command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(driver.stdout.take().expect("it is piped"));
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            let port = line.split("started successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says on which port it listens");
        // Neither a sandbox nor /dev/shm can be had in every container; what is opened here is our own.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is one") };
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await;
        let client = client.expect("the browser starts");
        let session = client.session_id().await.expect("it answers").expect("it has a session");
        Self { client, driver, port, session }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page opens");
    }

    pub(crate) async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("the window takes it");
    }

    /// The text of the first element that fits, or nothing.
    pub(crate) async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the text of an element is as wanted.
    pub(crate) async fn until(&self, css: &str, what: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let waiting = async {
            loop {
                last = self.text(css).await;
                if what(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(HANG, waiting).await.is_ok();
        assert!(came, "{css} never came to be as wanted; at last it was {last:?}");
        last
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.client.wait().at_most(HANG).for_element(Locator::Css(css)).await;
        element.unwrap_or_else(|error| panic!("{css}: {error}")).click().await.expect("it can be clicked");
    }

    /// Types into a field, in place of what was there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.client.wait().at_most(HANG).for_element(Locator::Css(css)).await;
        let element = element.unwrap_or_else(|error| panic!("{css}: {error}"));
        element.clear().await.expect("it can be cleared");
        element.send_keys(text).await.expect("it takes keys");
    }

    /// Runs a script in the page; it may `return` a promise.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    /// What the page has complained about since it was asked last: errors of scripts, of the policy, of requests.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let log = self.client.issue_cmd(ReadLog).await.expect("the browser has a log");
        let lines = log.as_array().cloned().unwrap_or_default();
        let grave = lines.iter().filter(|line| line["level"] == "SEVERE");
        grave.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Writes a picture of the window into the folder that `GUTHI_SCREENSHOTS` names, for somebody to look at.
    pub(crate) async fn picture(&self, name: &str) {
        let Ok(folder) = env::var("GUTHI_SCREENSHOTS") else { return };
        let bytes = self.client.screenshot().await.expect("it takes a picture");
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).expect("the folder is there");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser outlives a driver that is killed: it is told first.
        let _ = self.end();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Ends the session and with it the browser, from wherever this is dropped: nothing here waits for a runtime.
    fn end(&self) -> std::io::Result<()> {
        let mut driver = TcpStream::connect(("127.0.0.1", self.port))?;
        driver.set_read_timeout(Some(ENDING_MAX))?;
        write!(driver, "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", self.session)?;
        driver.read_to_end(&mut Vec::new()).map(drop)
    }
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What chromedriver offers besides the standard.
#[derive(Debug)]
struct ReadLog;

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
