//! The plans and signatures of all events that a stream sends.

use crate::format::{EventFormat, EventId};
use crate::names::Kernel;
use crate::osc::options::MessageOptions;
use crate::osc::plan::MessagePlan;
use crate::osc::schema::Schema;

/// The messages of all events, by event id.
#[derive(Debug)]
pub struct Messages {
    pub(super) options: MessageOptions,
    /// Inline, not boxed: each pointer between a record and its operations would delay what depends on them.
    pub(super) plans: Vec<Option<MessagePlan>>,
    schemas: Vec<Option<Schema>>,
}

impl Messages {
    /// No events yet; messages have the form given by `options`.
    pub fn new(options: MessageOptions) -> Messages {
        Messages { options, plans: vec![], schemas: vec![] }
    }

    /// Adds an event, replacing one with the same id.
    pub fn add(&mut self, format: &EventFormat, kernel: &Kernel) -> &Schema {
        let index = format.id.index();
        if self.plans.len() <= index {
            self.plans.resize_with(index + 1, || None);
            self.schemas.resize_with(index + 1, || None);
        }
        let (plan, schema) = MessagePlan::compile(format, &self.options, kernel.abi, &kernel.names);
        self.plans[index] = Some(plan);
        self.schemas[index].insert(schema)
    }

    /// The plan for records with this id.
    #[inline(always)]
    pub fn plan(&self, id: EventId) -> Option<&MessagePlan> {
        self.plans.get(id.index())?.as_ref()
    }

    /// The signature for records with this id.
    pub fn schema(&self, id: EventId) -> Option<&Schema> {
        self.schemas.get(id.index())?.as_ref()
    }

    /// The next event from number `from` on, wrapping around; with `untold`, only of those that were not announced
    /// yet.
    pub(super) fn next(&self, from: usize, untold: bool) -> Option<EventId> {
        let wanted = |index: &usize| {
            let plan = self.plans.get(*index).and_then(Option::as_ref);
            plan.is_some_and(|plan| !(untold && plan.announced))
        };
        let mut round = (from..self.plans.len()).chain(0..from);
        round.find(wanted).and_then(|index| u16::try_from(index).ok()).map(EventId)
    }

    /// The form of the messages.
    pub fn options(&self) -> &MessageOptions {
        &self.options
    }

    /// Sets whether enums and flags are sent as names, for events that are added from now on.
    pub fn set_names(&mut self, names: bool) {
        self.options.names = names;
    }
}
