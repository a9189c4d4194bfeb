//! The text plan of an event: the pieces of its text.

use std::ops::Range;

use super::{
    compile::{Compiler, Value, as_bytes, convert},
    meaning::{self, Meaning},
    pointer::{self, Pointee},
    printf::{self, Amount, Conversion, Flags, Length, Part, Radix, Spec},
    text::{LONGEST, Text},
    value::{Bytes, Context, Fault, Int, Label, Num, Span},
};
use crate::{
    format::{
        Endian, EventFormat, LongSize,
        print_fmt::{Argument, PrintFmt},
    },
    names::{Constants, Symbols},
};

/// How to format an event.
#[derive(Debug, Clone)]
pub struct TextPlan {
    /// The pieces of the event's text, then those of fields' own texts.
    pieces: Box<[Piece]>,
    /// How many pieces are the event's text.
    text_len: usize,
    pool: Box<[u8]>,
    labels: Box<[String]>,
    unsupported: Box<[Unsupported]>,
    fields: Box<[FieldText]>,
    big: bool,
    long: u8,
}

/// An argument, or a part of one, that cannot be computed from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Its index among the print format's arguments.
    pub argument: usize,
    /// Its source.
    pub source: String,
    /// The reason: a name known to the kernel only (`vmemmap_base`, `mc_event_error_type()`), or an expression that
    /// is not supported.
    pub reason: String,
}

/// A field to which the print format gives a meaning beyond its C type, and how to format it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldText {
    /// Its index in [`EventFormat::fields`].
    pub field: usize,
    /// Its meaning.
    pub meaning: Meaning,
    pieces: Range<usize>,
}

/// A part of the text.
#[derive(Debug, Clone)]
enum Piece {
    Literal(Span),
    /// `%d`, `%ld`, … without width: the value has the conversion's type already.
    Signed(Num),
    /// `%u`, `%lu`, …
    Unsigned(Num),
    /// `%x`, `%lx`, …
    Hex(Num),
    /// `%s`
    Text(Text),
    /// Any other conversion.
    Rare(Box<Rare>),
}

impl Piece {
    const NOTHING: Piece = Piece::Literal(Span { start: 0, len: 0 });
}

#[derive(Debug, Clone)]
struct Rare {
    spec: Spec,
    /// `*`
    width: Option<Num>,
    /// `.*`
    precision: Option<Num>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Number(Num, Radix),
    Char(Num),
    Text(Text),
    /// A pointer's own value, or its symbol.
    Pointer(Pointee, Num),
    /// What a pointer points to.
    Pointee(Pointee, Bytes),
    /// Known to the kernel only.
    Unknown(Label),
}

impl TextPlan {
    /// Compiles the print format of `format`, an event of a kernel with longs of size `long` and byte order `endian`.
    /// `constants` has the values of names that the format file does not resolve.
    pub fn compile(format: &EventFormat, long: LongSize, endian: Endian, constants: &dyn Constants) -> TextPlan {
        let parsed = PrintFmt::parse(&format.meant_print_fmt());
        TextPlan::of(&parsed, format, long, endian, constants, None)
    }

    /// Like [`compile`](Self::compile), but only for the texts of [fields](Self::fields) with the given meanings: the
    /// event's own text is empty. Most events have no such field, and then the print format's arguments are not
    /// parsed.
    pub fn compile_fields(
        format: &EventFormat,
        long: LongSize,
        endian: Endian,
        constants: &dyn Constants,
        wanted: &dyn Fn(Meaning) -> bool,
    ) -> TextPlan {
        let literal = printf::parse(&PrintFmt::parse_literal(&format.meant_print_fmt()));
        let parsed = match meaning::may_be_shown(&literal, format, wanted) {
            true => PrintFmt::parse(&format.meant_print_fmt()),
            false => PrintFmt::default(),
        };
        TextPlan::of(&parsed, format, long, endian, constants, Some(wanted))
    }

    fn of(
        parsed: &PrintFmt,
        format: &EventFormat,
        long: LongSize,
        endian: Endian,
        constants: &dyn Constants,
        fields_only: Option<&dyn Fn(Meaning) -> bool>,
    ) -> TextPlan {
        let mut builder = Builder {
            compiler: Compiler::new(format, long, endian, constants),
            long: Int { bits: (long.bytes() * 8) as u8, signed: false },
            all: &parsed.args,
            args: parsed.args.iter().enumerate(),
            unsupported: vec![],
            fields: vec![],
            fields_only,
        };
        let parts = printf::parse(&parsed.literal);
        let mut pieces: Vec<_> = parts.iter().enumerate().map(|(at, part)| builder.piece(at, part)).collect();
        let text_len = if fields_only.is_some() { 0 } else { pieces.len() };
        if fields_only.is_none_or(|wanted| wanted(Meaning::Enum)) {
            builder.enum_fields(&mut pieces);
        }
        let Builder { compiler, unsupported, fields, .. } = builder;
        TextPlan {
            pieces: pieces.into(),
            text_len,
            pool: compiler.pool.into(),
            labels: compiler.labels.into(),
            unsupported: unsupported.into(),
            fields: fields.into(),
            big: endian == Endian::Big,
            long: long.bytes() as u8,
        }
    }

    /// Appends the text of `record` (from its `common_type` on) to `out`: what the kernel prints after `event: `,
    /// without a line break.
    pub fn render(&self, record: &[u8], symbols: &dyn Symbols, out: &mut Vec<u8>) {
        self.write(self.pieces.get(..self.text_len).unwrap_or_default(), record, symbols, out);
    }

    /// The fields with a text of their own, at most one entry each.
    pub fn fields(&self) -> &[FieldText] {
        &self.fields
    }

    /// Appends the text of one field of `record`: `00:16:3e:01:02:03`, `0-3,5`, `TIMER`.
    pub fn render_field(&self, field: &FieldText, record: &[u8], symbols: &dyn Symbols, out: &mut Vec<u8>) {
        self.write(self.pieces.get(field.pieces.clone()).unwrap_or_default(), record, symbols, out);
    }

    #[inline]
    fn write(&self, pieces: &[Piece], record: &[u8], symbols: &dyn Symbols, out: &mut Vec<u8>) {
        let context = Context { record, pool: &self.pool, big: self.big, long: self.long, symbols };
        let start = out.len();
        for piece in pieces {
            if out.len() - start > LONGEST {
                break;
            }
            let written = match piece {
                Piece::Literal(span) => {
                    out.extend_from_slice(context.text(*span));
                    Ok(())
                }
                Piece::Signed(num) => num.eval(&context).map(|v| printf::write_signed(out, v as i64)),
                Piece::Unsigned(num) => num.eval(&context).map(|v| printf::write_decimal(out, v)),
                Piece::Hex(num) => num.eval(&context).map(|v| printf::write_hex(out, v)),
                Piece::Text(text) => text.write(out, &context),
                Piece::Rare(rare) => rare.write(out, &context),
            };
            if let Err(fault) = written {
                self.write_fault(out, fault);
            }
        }
    }

    /// The arguments that are shown as `{name?}`, always or for some records.
    pub fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    /// `{name?}`
    #[cold]
    fn write_fault(&self, out: &mut Vec<u8>, fault: Fault) {
        let name = match fault.label() {
            Some(label) => self.labels.get(label.0 as usize).map_or("", String::as_str),
            None if fault == Fault::DIVISION => "/0",
            None => "short record",
        };
        out.push(b'{');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"?}");
    }
}

impl Rare {
    fn write(&self, out: &mut Vec<u8>, context: &Context) -> Result<(), Fault> {
        let mut spec = self.spec;
        if let Some(width) = &self.width {
            spec = spec.with_width(width.eval(context)? as i32);
        }
        if let Some(precision) = &self.precision {
            spec = spec.with_precision(precision.eval(context)? as i32);
        }
        match &self.what {
            What::Number(num, radix) => printf::write_number(out, num.eval(context)?, *radix, spec),
            What::Char(num) => printf::write_char(out, num.eval(context)? as u8, spec),
            What::Text(text) => {
                let start = out.len();
                text.write(out, context)?;
                printf::fit_text(out, start, spec);
            }
            What::Pointer(pointee, num) => {
                let address = num.eval(context)?;
                pointer::write_address(out, *pointee, address, spec, context.long, context.symbols);
            }
            What::Pointee(pointee, bytes) => pointer::write_pointee(out, *pointee, bytes, spec, context)?,
            What::Unknown(label) => return Err(Fault::unknown(*label)),
        }
        Ok(())
    }
}

/// Matches conversions with arguments.
struct Builder<'a> {
    compiler: Compiler<'a>,
    /// `unsigned long`
    long: Int,
    /// All arguments.
    all: &'a [Argument],
    /// Those that no conversion has taken yet.
    args: std::iter::Enumerate<std::slice::Iter<'a, Argument>>,
    unsupported: Vec<Unsupported>,
    fields: Vec<FieldText>,
    /// Only texts of fields with these meanings are wanted.
    fields_only: Option<&'a dyn Fn(Meaning) -> bool>,
}

impl<'a> Builder<'a> {
    /// Notes the meaning that the argument `ahead` of the next, piece `at`, gives to a field; returns whether it
    /// gives one.
    fn note_field(&mut self, at: usize, ahead: usize, conversion: &Conversion) -> bool {
        let format = self.compiler.format;
        let Some((_, Argument { expr: Ok(expr), .. })) = self.args.clone().nth(ahead) else { return false };
        // `%s%s`, as for a task's state and its `+`: an adjacent conversion of the same field belongs to it.
        if let Some(last) = self.fields.last_mut()
            && last.pieces.end == at
            && *conversion == Conversion::Text
            && !last.meaning.is_text()
            && meaning::speaks_only_of(expr, last.field, format)
        {
            last.pieces.end = at + 1;
            return true;
        }
        let Some((field, meaning)) = meaning::shown(conversion, expr, self.all, format) else { return false };
        let wanted = self.fields_only.is_none_or(|wanted| wanted(meaning));
        let new = wanted && self.fields.iter().all(|known| known.field != field);
        if new {
            self.fields.push(FieldText { field, meaning, pieces: at..at + 1 });
        }
        new
    }

    /// Adds the texts of fields of enum type for which the print format has no table.
    fn enum_fields(&mut self, pieces: &mut Vec<Piece>) {
        for (field, declared) in self.compiler.format.fields.iter().enumerate() {
            if self.fields.iter().all(|known| known.field != field)
                && let Some(text) = self.compiler.enum_text(declared)
            {
                let at = pieces.len();
                pieces.push(Piece::Text(text));
                self.fields.push(FieldText { field, meaning: Meaning::Enum, pieces: at..at + 1 });
            }
        }
    }

    fn piece(&mut self, at: usize, part: &Part) -> Piece {
        let (flags, width, precision, conversion) = match part {
            Part::Literal(_) if self.fields_only.is_some() => return Piece::NOTHING,
            Part::Literal(text) => return Piece::Literal(self.compiler.intern(text)),
            Part::Conversion { flags, width, precision, conversion } => (*flags, *width, *precision, conversion),
        };
        let stars = usize::from(width == Amount::Argument) + usize::from(precision == Amount::Argument);
        let noted = self.note_field(at, stars, conversion);
        if self.fields_only.is_some() && !noted {
            self.args.nth(stars);
            return Piece::NOTHING;
        }
        let mut rare =
            Rare { spec: Spec { flags, ..Spec::PLAIN }, width: None, precision: None, what: What::Char(Num::Const(0)) };
        match width {
            Amount::Fixed(width) => rare.spec = rare.spec.with_width(Spec::limit(width)),
            Amount::Argument => rare.width = Some(self.integer(Int::I32)),
            Amount::None => {}
        }
        match precision {
            Amount::Fixed(precision) => rare.spec = rare.spec.with_precision(Spec::limit(precision)),
            Amount::Argument => rare.precision = Some(self.integer(Int::I32)),
            Amount::None => {}
        }
        let plain = width == Amount::None && precision == Amount::None && flags == Flags::default();
        rare.what = match conversion {
            Conversion::Number(radix, length) => {
                let num = self.integer(self.number_type(*radix, *length));
                match radix {
                    Radix::Signed if plain => return Piece::Signed(num),
                    Radix::Unsigned if plain => return Piece::Unsigned(num),
                    Radix::LowerHex if plain => return Piece::Hex(num),
                    radix => What::Number(num, *radix),
                }
            }
            Conversion::Char => What::Char(self.integer(Int::U8)),
            Conversion::Text => {
                let text = self.argument(|compiler, arg| compiler.text(arg)).unwrap_or_else(Text::Unknown);
                if plain {
                    return Piece::Text(text);
                }
                What::Text(text)
            }
            Conversion::Pointer(letters) => self.pointer(letters),
            // `printf::parse` stops before these.
            Conversion::Invalid => What::Char(Num::Const(u64::from(b'%'))),
        };
        Piece::Rare(Box::new(rare))
    }

    /// The type as which a conversion reads its argument.
    fn number_type(&self, radix: Radix, length: Length) -> Int {
        let bits = 8 * length.size(self.long.bits / 8);
        Int { bits, signed: radix == Radix::Signed }
    }

    /// The next argument, compiled by `compile`; a label if that fails.
    fn argument<T>(
        &mut self,
        compile: impl FnOnce(&mut Compiler<'a>, &'a crate::format::print_fmt::Expr) -> Result<T, String>,
    ) -> Result<T, Label> {
        let Some((index, argument)) = self.args.next() else {
            return Err(self.compiler.label("missing argument".to_owned()));
        };
        self.compiler.given.clear();
        let compiled = match &argument.expr {
            Ok(expr) => compile(&mut self.compiler, expr),
            Err(error) => Err(error.to_string()),
        };
        let compiled = compiled.map_err(|reason| self.compiler.label(reason));
        // The argument itself, or a part of it that not all records need.
        for label in std::mem::take(&mut self.compiler.given) {
            let reason = self.compiler.labels.get(label.0 as usize).cloned().unwrap_or_default();
            self.unsupported.push(Unsupported { argument: index, source: argument.text.clone(), reason });
        }
        compiled
    }

    fn integer(&mut self, int: Int) -> Num {
        let compiled = self.argument(|compiler, arg| compiler.number(arg));
        match compiled {
            Ok((num, from)) => convert(int, num, from),
            Err(label) => Num::Unknown(label),
        }
    }

    fn pointer(&mut self, letters: &str) -> What {
        if let [b'G', letter @ (b'g' | b'v' | b'p'), ..] = *letters.as_bytes() {
            let compiled = self.argument(|compiler, arg| compiler.kernel_flags(letter, arg));
            return compiled.map_or_else(What::Unknown, What::Text);
        }
        let Some(pointee) = Pointee::of(letters) else {
            let refused: Result<(), Label> = self.argument(|_, _| Err(format!("%p{letters}")));
            return refused.map_or_else(What::Unknown, |()| What::Char(Num::Const(0)));
        };
        let long = self.long;
        let compiled = self.argument(|compiler, arg| {
            let value = compiler.value(arg)?;
            match value {
                Value::Bytes(..) if pointee.is_value() => Err("&REC".to_owned()),
                value if pointee.is_value() => {
                    let (num, from) = compiler.as_number(value)?;
                    Ok(What::Pointer(pointee, convert(long, num, from)))
                }
                value => as_bytes(value).map(|(bytes, _)| What::Pointee(pointee, bytes)),
            }
        });
        compiled.unwrap_or_else(What::Unknown)
    }
}
