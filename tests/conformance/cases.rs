//! The list.

use std::pin::Pin;

use crate::bench::{Bench, Need};
use crate::{command, connection, ending, flood, login, trust};

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What it asks for.
    pub need: Need,
    /// What it does; it panics where the executor is wrong.
    pub run: fn(Bench) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! cases {
    ($($module:ident { $($need:expr => $($name:ident)+;)+ })+) => {
        vec![$($($(Case {
            name: stringify!($name),
            need: $need,
            run: |bench| Box::pin($module::$name(bench)),
        },)+)+)+]
    };
}

/// All cases, in the order of the table.
pub fn all() -> Vec<Case> {
    use Need::{Held, Host, LoginShell, Network, Root, Shell, SshConfig, Trust};
    cases! {
        command {
            Host => exit_codes_are_exact missing_program_is_127 not_executable_is_126 signals_are_128_and_n
                stderr_is_separate bytes_are_not_changed nothing_printed_is_nothing
                stdin_is_exact stdin_of_20_mb stdin_empty_is_at_its_end stdin_not_read stdin_read_in_part
                environment_is_exact environment_is_added words_are_exact words_of_every_byte
                directory_with_blanks directory_missing directory_with_a_dash
                what_cannot_be_sent_is_local interrupts_are_not_ignored no_descriptor_leaks;
            Root => another_user another_user_has_the_limits unknown_user_is_auth;
            Host => the_same_user_needs_no_right;
        }
        flood {
            Host => output_is_cut_and_counted flood_of_stdout flood_of_stderr flood_of_both;
        }
        ending {
            Host => timeout_ends_the_group timeout_ends_the_stubborn timeout_of_a_command_that_reads
                exit_124_is_no_timeout cancel_ends_the_group cancel_ends_the_stubborn cancel_while_stdin_goes_in
                cancelled_session_goes_on child_in_the_background_does_not_hang daemon_with_the_output_does_not_hang
                rest_of_the_group_is_ended after_a_failure_the_session_goes_on many_commands_one_session
                many_sessions_at_once;
        }
        connection {
            Host => killed_uphaul_leaves_nothing;
            Network => close_ends_the_connection drop_ends_the_connection
                cut_in_the_middle_is_lost frozen_in_the_middle_is_lost lost_command_is_ended closed_port silent_port
                unknown_name cancelled_connect_leaves_nothing address_that_is_an_option;
            Held => an_idle_session_stays frozen_before_the_command_is_lost after_the_loss_nothing_runs
                one_connection_a_session;
        }
        trust {
            Trust => unknown_host_key changed_host_key revoked_host_key hashed_known_hosts wildcard_known_hosts
                pinned_host_key pinned_is_another_host_key
                wrong_user_key no_user_key encrypted_user_key key_of_the_agent many_keys_before_the_right_one;
            SshConfig => jump_host pinned_key_is_not_the_jump_hosts jump_host_with_an_unknown_key config_cannot_weaken_trust;
        }
        login {
            Shell("bash") => login_by_bash;
            Shell("dash") => login_by_dash;
            Shell("fish") => login_by_fish;
            Shell("csh") => login_by_csh;
            LoginShell => noisy_login_shell;
            Trust => login_shell_that_refuses login_shell_that_reads_stdin;
        }
    }
}
