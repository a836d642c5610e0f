//! The backend's door to wgpu: only the files of one folder call it.

use super::Checked;
use super::strip::code_only;

/// The backend, and the folder in it through which every call to wgpu goes: where a lost device is noticed, errors are scoped, and a
/// test makes calls fail.
const BACKEND: &str = "crates/wgpu-backend/src/";
const DOOR: &str = "crates/wgpu-backend/src/device/";

/// What calls wgpu: methods of its instance, adapter, device, queue, buffers, encoders, passes and caches. What only asks is not among them.
const CALLS: [&str; 27] = [
    "Instance::new(",
    ".enumerate_adapters(",
    ".request_adapter(",
    ".request_device(",
    ".create_",
    ".push_error_scope(",
    ".set_device_lost_callback(",
    ".on_uncaptured_error(",
    ".on_submitted_work_done(",
    ".write_buffer(",
    ".write_buffer_with(",
    "queue.submit(",
    "device.poll(",
    ".map_async(",
    ".get_mapped_range(",
    ".get_mapped_range_mut(",
    ".unmap(",
    ".destroy(",
    ".begin_compute_pass(",
    ".copy_buffer_to_buffer(",
    ".clear_buffer(",
    ".resolve_query_set(",
    ".set_pipeline(",
    ".set_bind_group(",
    ".dispatch_workgroups(",
    ".get_data(",
    ".get_timestamp_period(",
];

/// The device and the queue themselves, which only the file that gives them to the caller asks for.
const BARE: &str = ".bare(";
const GIVES: &str = "crates/wgpu-backend/src/gpu.rs";

/// Calls to wgpu beside the door.
pub(super) fn faults(files: &[Checked]) -> Vec<String> {
    let mut faults = Vec::new();
    let beside = |f: &&Checked| f.path.starts_with(BACKEND) && !f.path.starts_with(DOOR) && f.is(".rs");
    for file in files.iter().filter(beside) {
        let code = code_only(&file.text);
        for (at, line) in code.lines().enumerate() {
            let bare = (file.path != GIVES).then_some(BARE);
            for call in CALLS.into_iter().chain(bare).filter(|call| line.contains(call)) {
                faults.push(format!("{}:{}: {call} calls wgpu, which only {DOOR} does", file.path, at + 1));
            }
        }
    }
    if !files.iter().any(|f| f.path.starts_with(DOOR) && f.text.contains(".create_buffer(")) {
        faults.push(format!("{DOOR}: expected the calls to wgpu here"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, line: &str) -> usize {
        let door = Checked { path: format!("{DOOR}memory.rs"), text: "device.create_buffer(&d);\n".into() };
        faults(&[door, Checked { path: path.into(), text: format!("{line}\n") }]).len()
    }

    #[test]
    fn a_call_beside_the_door_is_found() {
        for call in CALLS {
            let line = format!("let x = handle{call}y);");
            assert_eq!(count("crates/wgpu-backend/src/run.rs", &line), 1, "{line}");
            assert_eq!(count("crates/wgpu-backend/src/device/wait.rs", &line), 0, "{line}");
            assert_eq!(count("crates/wgpu-backend/tests/run.rs", &line), 0, "{line}");
            assert_eq!(count("crates/wgpu-backend/src/run.rs", &format!("// {line}")), 0, "{line}");
        }
        assert_eq!(count("crates/wgpu-backend/src/run.rs", "self.handle.bare().1"), 1);
        assert_eq!(count(GIVES, "self.handle.bare().1"), 0);
        assert_eq!(count("crates/wgpu-backend/src/run.rs", "handle.submit(name, commands).await?; buffer.size()"), 0);
    }

    #[test]
    fn a_door_that_was_moved_is_found() {
        assert_eq!(faults(&[]).len(), 1);
    }
}
