//! The places where this crate calls wgpu, by name: what a test makes fail, one by one.

/// Declares the places with what is done there, in words, and the list of all.
macro_rules! sites {
    ($($(#[$doc:meta])* $name:ident: $doing:literal,)+) => {
        /// A place of this crate that calls wgpu.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Site {
            $($(#[$doc])* $name,)+
        }

        impl Site {
            /// Every place.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What is done there, before the name of what it is done to.
            pub(crate) fn doing(self) -> &'static str {
                match self { $(Self::$name => $doing,)+ }
            }
        }
    };
}

sites! {
    /// The device is asked for.
    Open: "opening",
    /// The driver's pipeline cache is made.
    Cache: "caching pipelines in",
    /// A call begins, and wgpu says what it has to say.
    Look: "looking at the device before",
    /// Bind group layout and pipeline layout of a variant are made.
    Layout: "laying out",
    /// A variant's text is compiled to a module.
    Shader: "reading",
    /// A variant's pipeline is made.
    Pipeline: "compiling",
    /// A buffer is made.
    Allocate: "allocating",
    /// Bytes are given to the queue.
    Write: "uploading",
    /// A buffer is to be mapped for writing.
    MapWrite: "mapping for writing",
    /// A mapped buffer is written.
    WriteMapped: "writing",
    /// A bind group is made.
    Bind: "binding buffers of",
    /// A set of timestamps is made.
    Times: "allocating timestamps for",
    /// Commands are recorded into an encoder of this crate's own.
    Record: "recording",
    /// Commands are recorded into the caller's encoder.
    Encode: "encoding",
    /// Commands are submitted.
    Submit: "submitting",
    /// A submission is waited for.
    Wait: "waiting for",
    /// A buffer is to be mapped for reading.
    MapRead: "mapping",
    /// A mapped buffer is read.
    ReadMapped: "reading back",
}
