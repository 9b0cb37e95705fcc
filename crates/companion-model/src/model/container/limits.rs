//! Limits on memory and processor time.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::model::companion::InvalidValue;

const MIB: u64 = 1024 * 1024;

/// A limit on memory, in bytes; a whole number of MiB, at least 4.
///
/// As text: `1024` (MiB), `512m`, `2g`, also with `M`, `G`, `Mi`, `Gi`, `MiB` and `GiB`, all of them powers of 1024. Below 4 MiB no container starts at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "MemoryText", into = "String")]
pub struct Memory(NonZeroU64);

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum MemoryText {
    Mebibytes(u64),
    Text(String),
}

impl Memory {
    /// A limit of `mebibytes` MiB.
    ///
    /// # Errors
    /// [`InvalidValue`] below 4 MiB and above 1 TiB.
    pub fn from_mebibytes(mebibytes: u64) -> Result<Self, InvalidValue> {
        let rule = "must be between 4 MiB and 1 TiB";
        let is_in = (4..=1024 * 1024).contains(&mebibytes);
        let bytes = NonZeroU64::new(mebibytes.saturating_mul(MIB)).filter(|_| is_in);
        bytes.map(Self).ok_or_else(|| InvalidValue::new("memory", &mebibytes.to_string(), rule))
    }

    /// Reads `1024` (MiB), `512m`, `512Mi`, `2g` or `2Gi`.
    ///
    /// # Errors
    /// [`InvalidValue`] for anything else, and outside the limits of [`Memory::from_mebibytes`].
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let rule = "must be MiB as `1024`, or as `512m`, `512Mi`, `2g` or `2Gi`";
        let refuse = || InvalidValue::new("memory", text, rule);
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let factor = match unit {
            "" | "m" | "M" | "Mi" | "MiB" => 1,
            "g" | "G" | "Gi" | "GiB" => 1024,
            _ => return Err(refuse()),
        };
        let count: u64 = digits.parse().map_err(|_| refuse())?;
        Self::from_mebibytes(count.checked_mul(factor).ok_or_else(refuse)?)
    }

    /// The limit in bytes.
    pub fn bytes(self) -> NonZeroU64 {
        self.0
    }

    /// The limit in MiB.
    pub fn mebibytes(self) -> u64 {
        self.0.get() / MIB
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", self.mebibytes())
    }
}

impl TryFrom<MemoryText> for Memory {
    type Error = InvalidValue;
    fn try_from(text: MemoryText) -> Result<Self, Self::Error> {
        match text {
            MemoryText::Mebibytes(count) => Self::from_mebibytes(count),
            MemoryText::Text(text) => Self::parse(&text),
        }
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        memory.to_string()
    }
}

/// A limit on processor time, in percent of one processor; 1 to 100000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "u32", into = "u32")]
pub struct CpuQuota(NonZeroU32);

impl CpuQuota {
    /// A limit of `percent` of one processor; 200 is two of them.
    ///
    /// # Errors
    /// [`InvalidValue`] for zero and above 100000.
    pub fn from_percent(percent: u32) -> Result<Self, InvalidValue> {
        let rule = "must be between 1 and 100000 percent";
        let quota = NonZeroU32::new(percent).filter(|percent| percent.get() <= 100_000);
        quota.map(Self).ok_or_else(|| InvalidValue::new("cpu_quota", &percent.to_string(), rule))
    }

    /// The limit in percent of one processor.
    pub fn percent(self) -> NonZeroU32 {
        self.0
    }
}

impl TryFrom<u32> for CpuQuota {
    type Error = InvalidValue;
    fn try_from(percent: u32) -> Result<Self, Self::Error> {
        Self::from_percent(percent)
    }
}

impl From<CpuQuota> for u32 {
    fn from(quota: CpuQuota) -> Self {
        quota.0.get()
    }
}
