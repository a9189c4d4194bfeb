//! The options to lend an instance to a user, and to take it back.

use clap::Args;

/// `setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Lend the instance to this user [default: the user who called sudo]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Print a systemd unit that does it at boot instead; without --user, a template unit for any user
    #[arg(long)]
    pub print_unit: bool,
}

/// `teardown`.
#[derive(Debug, Args)]
pub struct TeardownArgs {
    /// Take back this user's only [default: all]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}
