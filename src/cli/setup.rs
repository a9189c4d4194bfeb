//! Lending an instance to a user, and taking it back.

use clap::Args;

/// `setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Lend the instance to this user [default: who called sudo]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Print a systemd unit instead that does it at each start of the machine; without --user, a template unit for any user
    #[arg(long)]
    pub print_unit: bool,
}

/// `teardown`.
#[derive(Debug, Args)]
pub struct TeardownArgs {
    /// Take this user's back only [default: all]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}
