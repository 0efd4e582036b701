//! The list.

use std::pin::Pin;

use crate::bench::{Bench, Need};
use crate::{agent, command, connection, ending, flood, hostile, keys, login, odd, scripted, trust, who};

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
    use Need::{
        AcceptNew, Acts, ActsCut, ActsHeld, ActsTrust, Away, ChannelTimeout, Held, Host, LoginShell,
        LongBanner, Network, Passphrase, Root, Script, Shell, SilentAgent, SshConfig, Trust, TrustAsRoot,
        TwoUsers,
    };
    cases! {
        scripted {
            Script => a_script_is_answered scripts_one_after_the_other what_a_script_says_is_cut_and_counted
                scripts_over_many_sessions;
            Away => a_host_that_is_not_there;
            Acts => a_command_that_takes_too_long;
            ActsTrust => a_host_that_does_not_let_us_in a_host_that_shows_another_key;
            ActsHeld => after_the_loss_nothing_runs;
        }
        command {
            Acts => exit_codes_are_exact stderr_is_separate bytes_are_not_changed nothing_printed_is_nothing
                what_cannot_be_sent_is_local;
            Host => missing_program_is_127 not_executable_is_126 signals_are_128_and_n
                stdin_is_exact stdin_of_20_mb stdin_empty_is_at_its_end stdin_not_read stdin_read_in_part
                environment_is_exact environment_is_added words_are_exact words_of_every_byte
                directory_with_blanks directory_missing directory_with_a_dash
                the_most_that_can_be_sent_arrives interrupts_are_not_ignored no_descriptor_leaks;
            Root => another_user another_user_has_the_limits unknown_user_is_auth;
            Host => the_same_user_needs_no_right;
        }
        hostile {
            Host => hostile_strings_come_back;
        }
        flood {
            Acts => output_is_cut_and_counted;
            Host => flood_of_stdout flood_of_stderr flood_of_both;
        }
        ending {
            Host => timeout_ends_the_group timeout_ends_the_stubborn timeout_of_a_command_that_reads
                cancel_ends_the_group cancel_ends_the_stubborn cancel_while_stdin_goes_in
                child_in_the_background_does_not_hang daemon_with_the_output_does_not_hang
                rest_of_the_group_is_ended many_sessions_at_once;
            Acts => exit_124_is_no_timeout cancelled_session_goes_on after_a_failure_the_session_goes_on
                many_commands_one_session;
        }
        connection {
            Host => killed_uphaul_leaves_nothing;
            Network => close_ends_the_connection drop_ends_the_connection
                frozen_in_the_middle_is_lost lost_command_is_ended closed_port silent_port
                unknown_name cancelled_connect_leaves_nothing address_that_is_an_option;
            ActsCut => cut_in_the_middle_is_lost;
            Held => an_idle_session_stays frozen_before_the_command_is_lost one_connection_a_session;
        }
        odd {
            Network => slow_network;
            LongBanner => banner_of_64_kib;
            Trust => banner_of_32_kib banner_that_is_long_is_taken_or_told text_before_the_version connection_reset_in_a_flood dead_network_in_the_middle
                network_that_dies_in_the_log_in closed_before_the_greeting something_that_is_no_ssh
                too_many_log_ins_at_once;
            Held => network_that_dies_between_commands two_sessions_at_most one_session_at_most no_session_at_all
                forty_sessions_at_once;
            ChannelTimeout => channels_that_time_out;
        }
        trust {
            Trust => unknown_host_key changed_host_key revoked_host_key hashed_known_hosts wildcard_known_hosts
                pinned_host_key pinned_is_another_host_key pinned_host_key_that_is_revoked
                wrong_user_key no_user_key encrypted_user_key many_keys_before_the_right_one;
            SshConfig => jump_host pinned_key_is_not_the_jump_hosts jump_host_with_an_unknown_key config_cannot_weaken_trust;
        }
        agent {
            Trust => key_of_the_agent rsa_key_of_the_agent certificate_of_the_agent certificate_whose_key_is_in_the_agent;
        }
        keys {
            Trust => rsa_keys_by_sha2 key_files_of_every_format second_factor_is_told two_keys_are_wanted key_that_others_may_read;
            SshConfig => keys_that_the_config_does_not_allow;
            TwoUsers => two_users_of_one_host;
            Passphrase => encrypted_files_of_every_format encrypted_key_of_the_config
                encrypted_files_with_a_wrong_passphrase;
        }
        who {
            Trust => host_keys_of_all_kinds host_known_by_a_key_of_another_kind known_by_an_authority_alone
                known_without_the_port revoked_key_of_another_host user_keys_of_all_kinds user_certificate
                login_user_that_is_not_there;
            TrustAsRoot => login_user_without_a_shell;
            SshConfig => chain_of_jump_hosts jump_host_that_forwards_nothing jump_host_lost_in_the_middle
                jump_host_whose_next_is_down alias_with_everything known_hosts_of_the_config;
            AcceptNew => new_host_keys_are_added changed_host_keys_are_not_added marked_host_keys_are_not_added;
            Passphrase => key_opened_by_a_passphrase key_with_a_wrong_passphrase;
            SilentAgent => agent_that_never_answers;
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
