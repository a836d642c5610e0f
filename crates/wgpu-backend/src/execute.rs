//! Submitting a run's dispatches, and sorting out what comes back.

use std::collections::VecDeque;

use gatefold_core::{Operand, Tensor, Tensors};
use gatefold_shaders::Plan;

use crate::RunError;
use crate::bindings::Job;
use crate::buffers::{Content, Slot};
use crate::device::{Handle, Mapping, Recorder};
use crate::readback::{Piece, Readback};
use crate::run::Ran;
use crate::timing::{StepClock, Timestamps};
use crate::watch::{Clock, Watch};

/// Dispatches of one submission. The planner keeps each dispatch short; a watchdog that resets the device counts submissions.
const SUBMISSION: usize = 4;

/// Submissions on their way at the same time.
const IN_FLIGHT: usize = 2;

/// A range of jobs recorded as one pass.
pub(crate) struct Pass {
    jobs: std::ops::Range<usize>,
    pub(crate) step: usize,
}

/// Cuts jobs into submissions, each a list of passes. A pass per step if steps are timed; a submission per step if by the host's clock.
pub(crate) fn cut(jobs: &[Job], timed: Option<StepClock>) -> Vec<Vec<Pass>> {
    let mut submissions: Vec<Vec<Pass>> = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let full = submissions.last().is_none_or(|s| s.iter().map(|p| p.jobs.len()).sum::<usize>() >= SUBMISSION);
        let new_step = index > 0 && jobs[index - 1].step != job.step;
        if full || (new_step && timed == Some(StepClock::Host)) {
            submissions.push(Vec::new());
        }
        let Some(passes) = submissions.last_mut() else { continue };
        match passes.last_mut() {
            Some(pass) if !(new_step && timed.is_some()) => pass.jobs.end = index + 1,
            _ => passes.push(Pass { jobs: index..index + 1, step: job.step }),
        }
    }
    submissions
}

/// What a piece read back is.
pub(crate) enum Wanted {
    /// The contents of a slot.
    Contents(usize),
    /// The whole buffer of a slot, guard zones included.
    Whole(usize),
    /// The timestamps.
    Times,
}

/// One run after everything has been allocated.
pub(crate) struct Execution<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) plan: &'a Plan,
    pub(crate) watch: &'a Watch,
    pub(crate) jobs: Vec<Job>,
    pub(crate) timed: Option<StepClock>,
    pub(crate) stamps: Option<Timestamps>,
    pub(crate) readback: Readback<'a>,
}

impl Execution<'_> {
    fn record(&self, recorder: &mut Recorder<'_>, passes: &[Pass], first: usize, last: bool) {
        for (index, pass) in passes.iter().enumerate() {
            let timestamp_writes = self.stamps.as_ref().and_then(|s| s.writes(first + index));
            recorder.pass(self.plan.op, timestamp_writes, &self.jobs[pass.jobs.clone()]);
        }
        if last {
            if let Some(stamps) = &self.stamps {
                stamps.record(recorder);
            }
            self.readback.record(recorder);
        }
    }

    /// Submits everything and waits. Returns the mappings, and the host's seconds per step if it keeps the time.
    pub(crate) async fn run(&self, submissions: &[Vec<Pass>]) -> Result<(Vec<Mapping>, Vec<f64>), RunError> {
        let (handle, name) = (self.handle, self.plan.op);
        let mut in_flight = VecDeque::new();
        let mut seconds = vec![0.0; self.plan.steps.len()];
        let mut first = 0;
        for (index, passes) in submissions.iter().enumerate() {
            if in_flight.len() >= IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                handle.wait(name, &oldest, self.watch).await?;
            }
            self.watch.check(name)?;
            let last = index + 1 == submissions.len();
            let commands = handle.record(name, |recorder| self.record(recorder, passes, first, last)).await?;
            let clock = Clock::start();
            let submitted = handle.submit(name, commands).await?;
            if self.timed == Some(StepClock::Host)
                && let Some(pass) = passes.first()
            {
                handle.wait(name, &submitted, self.watch).await?;
                seconds[pass.step] += clock.elapsed().as_secs_f64();
            }
            in_flight.push_back(submitted);
            first += passes.len();
        }
        let mappings = self.readback.map().await?;
        if let Some(newest) = in_flight.pop_back() {
            handle.wait(name, &newest, self.watch).await?;
        }
        Ok((mappings, seconds))
    }

    /// Reads what was mapped: outputs, faults and times go to `ran`.
    pub(crate) async fn collect(
        &self,
        mappings: Vec<Mapping>,
        wanted: &[Wanted],
        slots: &[Slot],
        call: (&[Operand], &Tensors),
        ran: &mut Ran,
    ) -> Result<(), RunError> {
        let (operands, inputs) = call;
        let (mut outputs, mut faults, mut seconds) = (Tensors::new(), Vec::new(), None);
        let mut wrong = Ok(());
        let mut output = |slot: &Slot, bytes: &[u8]| {
            let operand = operands.iter().find(|o| o.name == slot.place.name);
            match operand.map(|o| Tensor::from_bytes(o.dtype, o.dims.clone(), bytes)) {
                Some(Ok(tensor)) => outputs.insert(slot.place.name.as_str(), tensor),
                Some(Err(error)) => wrong = Err(error),
                None => {}
            }
        };
        let visit = |index: usize, bytes: &[u8]| match wanted[index] {
            Wanted::Times => seconds = self.stamps.as_ref().map(|s| s.seconds(bytes, self.plan.steps.len())),
            Wanted::Contents(slot) => output(&slots[slot], bytes),
            Wanted::Whole(slot) => {
                let Slot { place, content } = &slots[slot];
                let input = inputs.get(&place.name).filter(|_| *content == Content::Input);
                faults.extend(slots[slot].faults(bytes, input.map(Tensor::bytes)));
                if content.is_made() {
                    let start = usize::try_from(place.offset).unwrap_or(usize::MAX);
                    output(&slots[slot], &bytes[start..bytes.len() - start]);
                }
            }
        };
        self.readback.read(mappings, visit).await?;
        wrong?;
        for o in operands.iter().filter(|o| o.role.is_made() && o.is_empty()) {
            outputs.insert(o.name, Tensor::from_bytes(o.dtype, o.dims.clone(), &[])?);
        }
        (ran.outputs, ran.faults) = (outputs, faults);
        ran.step_seconds = seconds.or(ran.step_seconds.take());
        Ok(())
    }

    /// Gives the buffers to the next run. Everything has been read, nothing is in flight.
    pub(crate) fn release(self, slots: Vec<Slot>, params: Option<wgpu::Buffer>) {
        self.readback.release();
        slots.into_iter().map(|s| s.place.buffer).chain(params).for_each(|buffer| self.handle.keep(buffer));
    }
}

/// The pieces that the host wants, and what each is.
pub(crate) fn wanted(slots: &[Slot], guard: bool, stamps: Option<&Timestamps>) -> (Vec<Piece>, Vec<Wanted>) {
    let (mut pieces, mut wanted) = (Vec::new(), Vec::new());
    for (index, slot) in slots.iter().enumerate() {
        let buffer = slot.place.buffer.clone();
        if guard {
            let bytes = buffer.size();
            pieces.push(Piece { buffer, offset: 0, bytes });
            wanted.push(Wanted::Whole(index));
        } else if slot.content.is_made() && slot.place.bytes > 0 {
            pieces.push(Piece { buffer, offset: slot.place.offset, bytes: slot.place.bytes });
            wanted.push(Wanted::Contents(index));
        }
    }
    if let Some(stamps) = stamps {
        pieces.push(stamps.piece());
        wanted.push(Wanted::Times);
    }
    (pieces, wanted)
}
