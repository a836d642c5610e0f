//! A compiler in a process of its own: it greets with a line, and answers a line with a line. It may crash over a text and is then started again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;

/// What its own lines begin with: libraries may write others in between.
const MARK: &str = "> ";

/// Such a process.
pub(super) struct Remote {
    command: Box<dyn Fn() -> Command + Send>,
    process: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
    /// What it said first.
    pub(super) greeting: String,
}

impl Remote {
    /// Starts it and hears its greeting.
    ///
    /// # Errors
    /// If it cannot be started or says nothing.
    pub(super) fn start(command: impl Fn() -> Command + Send + 'static) -> Result<Self> {
        let mut remote = Self { command: Box::new(command), process: None, greeting: String::new() };
        remote.spawn()?;
        Ok(remote)
    }

    fn spawn(&mut self) -> Result<()> {
        let mut command = (self.command)();
        // What Wine and Dawn write beside their answers is of no interest.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("starting {}", shell::typed(&command)))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{}: a process without pipes", shell::typed(&command));
        };
        let mut stdout = BufReader::new(stdout);
        self.greeting = hear(&mut stdout).with_context(|| format!("hearing {}", shell::typed(&command)))?;
        self.process = Some((child, stdin, stdout));
        Ok(())
    }

    /// Asks. A crash is the answer to this question; the next one gets a new process.
    ///
    /// # Errors
    /// If the process ends without an answer.
    pub(super) fn ask(&mut self, question: &str) -> Result<String> {
        if self.process.is_none() {
            self.spawn()?;
        }
        let Some((_, stdin, stdout)) = &mut self.process else { bail!("no process") };
        let sent = writeln!(stdin, "{question}").and_then(|()| stdin.flush());
        match sent.context("sending a question").and_then(|()| hear(stdout)) {
            Ok(answer) => Ok(answer),
            Err(_) => bail!("the compiler crashed over it ({})", self.bury()),
        }
    }

    /// Ends the process; how it ended.
    fn bury(&mut self) -> String {
        let Some((mut child, stdin, _)) = self.process.take() else { return "not started".into() };
        drop(stdin);
        child.wait().map_or_else(|e| e.to_string(), |status| status.to_string())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It ends when its input does.
        self.bury();
    }
}

/// The next line that is an answer.
fn hear(from: &mut impl BufRead) -> Result<String> {
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line).context("reading an answer")? == 0 {
            bail!("no answer");
        }
        if let Some(said) = String::from_utf8_lossy(&line).strip_prefix(MARK) {
            return Ok(said.trim_end().to_string());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Echoes lines, and ends over the line `die`.
    fn echo() -> Remote {
        let script = "echo noise; echo '> hello'; while read line; do [ $line = die ] && exit 3; echo noise; echo \"> got $line\"; done";
        Remote::start(move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        })
        .unwrap()
    }

    #[test]
    fn a_crash_is_one_answer_and_no_more() {
        let mut remote = echo();
        assert_eq!(remote.greeting, "hello");
        assert_eq!(remote.ask("a").unwrap(), "got a");
        let crash = remote.ask("die").unwrap_err().to_string();
        assert!(crash.contains("crashed") && crash.contains('3'), "{crash}");
        assert_eq!(remote.ask("b").unwrap(), "got b");
    }
}
