//! The node process: messages to and fro, and what its errors mean.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatefold_wgpu::RunError;
use serde_json::Value;

/// Longest time that one request may take: the slowest kernels take a software driver a minute to compile, and other processes share its cores.
const PATIENCE: Duration = Duration::from_secs(300);

/// Lines of the process's own messages that are kept, to be told if it dies.
const LAST_LINES: usize = 12;

type Reply = std::io::Result<(Value, Vec<u8>)>;

/// A running executor.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    replies: Receiver<Reply>,
    said: Arc<Mutex<Vec<String>>>,
    /// Why it is no more, once it is.
    gone: Option<RunError>,
}

fn read_reply(from: &mut impl Read) -> Reply {
    let mut sizes = [0; 8];
    from.read_exact(&mut sizes)?;
    let [text, data] = [0, 4].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|byte| sizes[at + byte])));
    let mut bytes = vec![0; text as usize];
    from.read_exact(&mut bytes)?;
    let mut blob = vec![0; data as usize];
    from.read_exact(&mut blob)?;
    Ok((serde_json::from_slice(&bytes)?, blob))
}

/// The error of a reply, if it is one.
fn error_of(reply: &Value, what: &str) -> Option<RunError> {
    let error = reply.get("error")?;
    let text = |key: &str| error[key].as_str().unwrap_or("nothing").to_owned();
    let (what, message) = (what.to_owned(), text("message"));
    Some(match text("kind").as_str() {
        "no_adapter" => RunError::NoAdapter { wanted: "for Dawn".into(), found: "none".into(), help: message },
        "build" => RunError::PipelineBuild { variant: what, message },
        "validation" => RunError::Validation { what, message },
        "out-of-memory" => RunError::OutOfMemory { what: format!("{what} ({message})"), bytes: 0 },
        "lost" => RunError::DeviceLost { when: what, reason: message },
        _ => RunError::Internal { what, message },
    })
}

impl Process {
    /// Starts the executor.
    pub(super) fn start(command: &mut Command) -> Result<Self, RunError> {
        let no = |message: String| RunError::OpenDevice { adapter: "Dawn".into(), message };
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|e| no(format!("{:?} did not start: {e}", command.get_program())))?;
        let (Some(input), Some(mut output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(no("its pipes are missing".into()));
        };
        let (send, replies) = channel();
        std::thread::spawn(move || {
            loop {
                let reply = read_reply(&mut output);
                let last = reply.is_err();
                // The receiver is gone with the process it spoke to.
                if send.send(reply).is_err() || last {
                    return;
                }
            }
        });
        let said = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut lines = keep.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(line);
                let more = lines.len().saturating_sub(LAST_LINES);
                lines.drain(..more);
            }
        });
        Ok(Self { child, input, replies, said, gone: None })
    }

    /// The process has ended or must end; every later request gives the same error.
    fn end(&mut self, error: RunError) -> RunError {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.gone = Some(error.clone());
        error
    }

    fn died(&mut self, what: &str, why: &str) -> RunError {
        // The pipe of its messages closes a little later than that of its replies.
        std::thread::sleep(Duration::from_millis(50));
        let status = self.child.try_wait().ok().flatten().map_or("still running".into(), |s| s.to_string());
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).join(" | ");
        let reason = format!("the node process: {why}; {status}; its last words: {said}");
        self.end(RunError::DeviceLost { when: what.into(), reason })
    }

    /// Sends a request with its data and waits for the reply.
    pub(super) fn ask(&mut self, request: &Value, data: &[&[u8]]) -> Result<(Value, Vec<u8>), RunError> {
        if let Some(error) = &self.gone {
            return Err(error.clone());
        }
        let what = request["name"].as_str().or(request["ask"].as_str()).unwrap_or("a request").to_owned();
        let text = request.to_string();
        let bytes: usize = data.iter().map(|d| d.len()).sum();
        let (Ok(length), Ok(size)) = (u32::try_from(text.len()), u32::try_from(bytes)) else {
            return Err(RunError::TooLarge { what, need: bytes as u64, have: u64::from(u32::MAX) });
        };
        let mut message = Vec::with_capacity(8 + text.len() + bytes);
        message.extend(length.to_le_bytes().into_iter().chain(size.to_le_bytes()));
        message.extend_from_slice(text.as_bytes());
        data.iter().for_each(|d| message.extend_from_slice(d));
        if let Err(e) = self.input.write_all(&message).and_then(|()| self.input.flush()) {
            return Err(self.died(&what, &format!("does not listen: {e}")));
        }
        match self.replies.recv_timeout(PATIENCE) {
            Ok(Ok((reply, back))) => match error_of(&reply, &what) {
                Some(error) => Err(error),
                None => Ok((reply, back)),
            },
            Ok(Err(e)) => Err(self.died(&what, &e.to_string())),
            Err(RecvTimeoutError::Disconnected) => Err(self.died(&what, "answers no more")),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.end(RunError::DeviceHung { what, seconds: PATIENCE.as_secs_f64() }))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is not waited for in vain.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_kind() {
        let reply = serde_json::json!({ "error": { "kind": "build", "message": "line 3" } });
        let error = error_of(&reply, "attention").unwrap();
        assert!(matches!(error, RunError::PipelineBuild { .. }) && error.to_string().contains("line 3"));
        assert!(error_of(&serde_json::json!({ "seconds": 1.0 }), "run").is_none());
    }

    #[test]
    fn a_process_that_ends_is_a_lost_device() {
        let mut process = Process::start(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap();
        let error = process.ask(&serde_json::json!({ "ask": "open" }), &[]).unwrap_err();
        assert!(matches!(error, RunError::DeviceLost { .. }), "{error}");
        assert_eq!(process.ask(&serde_json::json!({ "ask": "open" }), &[]).unwrap_err(), error);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = Process::start(&mut Command::new("no such program")).err().unwrap();
        assert!(matches!(error, RunError::OpenDevice { .. }), "{error}");
    }
}
