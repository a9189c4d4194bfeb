//! Event format → plan; record and plan → typed values.
//!
//! [`Plan::compile`] works out once what follows from the [format](crate::format::EventFormat): for every field a
//! [`Read`], which says where its value is and how to read it. A record's length is checked once ([`Plan::fits`]);
//! only values whose place is in the record itself (`__data_loc`) are checked again. A [`Value`] borrows from the
//! record: an integer, a truth value, an address, text, bytes, or several numbers or strings.
//!
//! # Example
//!
//! ```
//! use byteorder::LittleEndian;
//! use ftrace_live::decode::{Plan, Value};
//! use ftrace_live::format::{EventFormat, LongSize};
//!
//! let text = "name: irq_handler_entry\nID: 7\nformat:\n\
//!             \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
//!             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
//!             \tfield:int irq;\toffset:8;\tsize:4;\tsigned:1;\n\
//!             \tfield:__data_loc char[] name;\toffset:12;\tsize:4;\tsigned:0;\n\n\
//!             print fmt: \"irq=%d name=%s\", REC->irq, __get_str(name)\n";
//! let plan = Plan::compile(&EventFormat::parse("irq", text, LongSize::Eight)?);
//! // Pid 77; irq 36; a location word: 5 bytes at offset 16; these bytes.
//! let mut record = vec![7, 0, 0, 0, 77, 0, 0, 0, 36, 0, 0, 0, 16, 0, 5, 0];
//! record.extend(b"eth0\0\0\0\0");
//! plan.fits(&record)?;
//! assert_eq!(plan.pid::<LittleEndian>(&record), 77);
//! let values = plan.values::<LittleEndian>(&record).collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(values, [Value::Signed(36), Value::Text(b"eth0")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`EventTable`] has the formats of a kernel by id, [`Filter`] evaluates the kernel's filter expressions on records.

mod element;
mod error;
mod field;
pub mod filter;
mod number;
mod plan;
mod short_text;
mod table;
mod value;

pub use element::Element;
pub use error::DecodeError;
pub use field::{FieldPlan, Read};
pub use filter::{Filter, FilterError, Matcher, Surroundings, Traced};
pub(crate) use number::Number;
pub use plan::{PidPlace, Plan};
pub(crate) use short_text::ShortText;
pub use table::EventTable;
pub use value::{Array, Texts, Value};
pub(crate) use value::{located, place, unsigned, until_nul};

#[cfg(test)]
mod tests;
