//! What a kernel is compiled to: flat operations on 32-bit registers.
//!
//! WGSL has no recursion, so every function has one fixed place for its registers and its variables, and a call copies arguments there. Scalars are a
//! register each; an `f16` is held as the `f32` of its value. Private, function and workgroup memory is words, one per scalar; buffers are bytes,
//! addressed in halves of a word: `buffer << 26 | half`.

use naga::{BuiltIn, MathFunction, Span};

/// Address of nothing: what an index into an empty array gives.
pub(crate) const NOWHERE: u32 = u32::MAX;
/// Bits of an address in a buffer, in units of two bytes.
pub(crate) const HALF_BITS: u32 = 26;

/// Type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    F32,
    F16,
    I32,
    U32,
    Bool,
}

impl Kind {
    /// Bytes in a buffer.
    pub(crate) fn bytes(self) -> u32 {
        if self == Self::F16 { 2 } else { 4 }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }
}

/// Where an address points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    /// Private and function variables of an invocation.
    Own,
    Workgroup,
    Buffer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bin {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Un {
    Neg,
    Not,
    Flip,
    IsNan,
    IsInf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Atomic {
    Load,
    Store,
    Add,
    Sub,
    And,
    Or,
    Xor,
    Min,
    Max,
    Exchange,
    CompareExchange,
}

/// How a subgroup's lanes exchange values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Across {
    Ballot,
    First,
    /// From the lane `at`; `uniform`: of one number for all lanes.
    Lane,
    Up,
    Down,
    Xor,
    Quad,
    QuadSwap(u8),
    All,
    Any,
    Fold(Bin, Scan),
    Least(Scan),
    Largest(Scan),
    Barrier,
}

/// Over which lanes a value is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    Whole,
    Inclusive,
    Exclusive,
}

/// A register.
pub(crate) type Reg = u32;

/// An address: the register that holds it, and units beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) space: Space,
    pub(crate) reg: Reg,
    pub(crate) off: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Copy {
        dst: Reg,
        src: Reg,
        n: u32,
    },
    Splat {
        dst: Reg,
        src: Reg,
        n: u32,
    },
    Bin {
        f: Bin,
        kind: Kind,
        n: u8,
        sa: u8,
        sb: u8,
        dst: Reg,
        a: Reg,
        b: Reg,
    },
    Un {
        f: Un,
        kind: Kind,
        n: u8,
        dst: Reg,
        a: Reg,
    },
    /// `c` has one condition (`sc` 0) or one for each component (1).
    Select {
        n: u32,
        sc: u32,
        dst: Reg,
        c: Reg,
        a: Reg,
        b: Reg,
    },
    Reduce {
        all: bool,
        n: u8,
        dst: Reg,
        a: Reg,
    },
    /// Component by component.
    Math {
        f: MathFunction,
        kind: Kind,
        n: u8,
        dst: Reg,
        a: [Reg; 3],
    },
    /// Of whole vectors; bits packed and unpacked.
    Geometry {
        f: MathFunction,
        kind: Kind,
        n: u8,
        dst: Reg,
        a: [Reg; 3],
    },
    Convert {
        from: Kind,
        to: Kind,
        n: u8,
        dst: Reg,
        a: Reg,
    },
    /// Bits of an `f16` pair from a word and back.
    Halves {
        pack: bool,
        n: u8,
        dst: Reg,
        a: Reg,
    },
    /// An address: element `at` of `len`; 0 for an array that is as long as its buffer.
    Index {
        dst: Reg,
        base: At,
        at: Reg,
        len: u32,
        stride: u32,
        signed: bool,
    },
    /// Element `at` of a value of `len` elements.
    Pick {
        dst: Reg,
        src: Reg,
        at: Reg,
        len: u32,
        words: u32,
        signed: bool,
    },
    /// Of words, or in a buffer of `n` neighbours of one kind.
    Load {
        dst: Reg,
        at: At,
        n: u32,
        kind: Kind,
    },
    Store {
        src: Reg,
        at: At,
        n: u32,
        kind: Kind,
    },
    /// Of a value whose scalars lie in a buffer as `Code::layouts` says.
    LoadAs {
        dst: Reg,
        at: At,
        layout: u32,
    },
    StoreAs {
        src: Reg,
        at: At,
        layout: u32,
    },
    /// Elements of an array that is as long as its buffer.
    Length {
        dst: Reg,
        at: At,
        stride: u32,
    },
    Atomic {
        f: Atomic,
        kind: Kind,
        dst: Reg,
        at: At,
        a: Reg,
        b: Reg,
    },
    /// A function's variables begin.
    Enter {
        function: u32,
    },
    Call {
        to: u32,
    },
    Return,
    Jump {
        to: u32,
    },
    Unless {
        c: Reg,
        to: u32,
    },
    IfEqual {
        a: Reg,
        value: u32,
        to: u32,
    },
    Trip,
    Barrier {
        workgroup: bool,
        storage: bool,
    },
    Subgroup {
        f: Across,
        kind: Kind,
        n: u8,
        dst: Reg,
        a: Reg,
        at: Reg,
    },
}

/// A variable in memory of words.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) start: u32,
    pub(crate) words: u32,
    /// Register with its first value, if it has one.
    pub(crate) init: Option<Reg>,
}

/// A buffer that the kernel binds.
#[derive(Debug, Clone)]
pub(crate) struct BufferDecl {
    pub(crate) name: String,
    pub(crate) group: u32,
    pub(crate) binding: u32,
    pub(crate) writable: bool,
    pub(crate) uniform: bool,
    /// Least bytes.
    pub(crate) least: u32,
    /// Bytes by which it grows; 0 if it has one size.
    pub(crate) stride: u32,
    /// Whether it holds scalars of two bytes.
    pub(crate) narrow: bool,
    /// Shape of what it holds, for files that fill it: kind of its first scalar.
    pub(crate) kind: Kind,
}

/// A compiled kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Code {
    pub(crate) ops: Vec<Op>,
    pub(crate) spans: Vec<Span>,
    /// Registers before the kernel starts: its constants.
    pub(crate) template: Vec<u32>,
    pub(crate) layouts: Vec<Vec<(u32, Kind)>>,
    /// Variables of each function; the first entry holds the private ones.
    pub(crate) variables: Vec<Vec<Variable>>,
    pub(crate) own_words: u32,
    pub(crate) shared: Vec<Variable>,
    pub(crate) shared_words: u32,
    pub(crate) buffers: Vec<BufferDecl>,
    /// Registers of built-in values.
    pub(crate) builtins: Vec<(Reg, BuiltIn)>,
    pub(crate) entry: u32,
    pub(crate) workgroup_size: [u32; 3],
    pub(crate) has_subgroups: bool,
}
