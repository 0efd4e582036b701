# Reads everything that could stop an update. Changes nothing; the controller judges.
say user "$me"
say uid "$(id -u)"
say home "$home"
for _t in git flock timeout setsid mkfifo stdbuf systemctl systemd-run sudo ssh-keygen; do
  _at=$(command -v "$_t" 2>/dev/null) && say tool "$_t $_at"
done
say git_version "$(git --version 2>/dev/null)"
say systemd_version "$(show -p Version --value 2>/dev/null | head -n 1)"
if [ ! -d "$U_DIR" ]; then say path missing; exit 0; fi
say real "$(cd -P -- "$U_DIR" && pwd -P)"
say path_owner "$(stat -c %U -- "$U_DIR" 2>/dev/null)"
# A file system without a fixed number of inodes says 0 of 0, or a dash, which is none.
free_of() {
  df -P "$1" -- "$U_DIR" 2>/dev/null | { read -r _; read -r _dev _all _used _free _; case $_all in 0 | -) ;; *) printf '%s' "$_free" ;; esac; }
}
say space_kib "$(free_of -k)"
say inodes "$(free_of -i)"
if [ -n "$U_KEEP" ]; then
  say keep_kib "$(printf '%s\n' "$U_KEEP" | while IFS= read -r _d; do [ ! -e "$U_DIR/$_d" ] || timeout 20 du -skx -- "$U_DIR/$_d" 2>/dev/null; done | awk '{ n += $1 } END { print n + 0 }')"
  say file_system "$(stat -f -c %T -- "$U_DIR" 2>/dev/null)"
fi
say git_error "$(git -C "$U_DIR" rev-parse --absolute-git-dir 2>&1 >/dev/null | head -n 2 | tr '\n' ' ')"
if S=$(uphaul_dir); then
  G=${S%/uphaul}
  say git_dir "$G"
  say top "$(g rev-parse --show-toplevel 2>/dev/null)"
  [ -w "$G" ] && say git_writable 1
  [ -w "$U_DIR" ] && say path_writable 1
  say head "$(g rev-parse --verify --quiet 'HEAD^{commit}')"
  say branch "$(g symbolic-ref --quiet --short HEAD)"
  say remote "$(g config --get remote.origin.url | plain_url)"
  say shallow "$(g rev-parse --is-shallow-repository 2>/dev/null)"
  [ -e "$U_DIR/.gitmodules" ] && say submodules 1
  if [ -e "$G/index.lock" ]; then
    say index_lock "$G/index.lock, last touched $(stat -c %y -- "$G/index.lock" 2>/dev/null | cut -c 1-19)"
  fi
  # As Fetch will do it: the same user, the same bare environment.
  _e=$(eval "grouped env -i $clean LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true GIT_SSH_COMMAND=\"\$git_ssh\" $U_ENV \
    timeout -k 5 \"\$U_GIT_S\" git -C \"\$U_DIR\" ls-remote --quiet origin HEAD" 2>&1 >/dev/null)
  say remote_code "$?"
  printf '%s\n' "$_e" | plain_url | tail -n 3 | while IFS= read -r _l; do [ -z "$_l" ] || say remote_error "$_l"; done
  dirty | tr '\0\n' '\n?' | head -n 1000 | while IFS= read -r _l; do
    _f=${_l#???}
    case $_l in ' '[MDT]' '*) grep -Fqx -- "$(content "$_f") $_f" "$S/installed" 2>/dev/null && continue ;; esac
    [ -z "$_l" ] || say dirty "$_l"
  done | head -n 21
  say in_the_middle "$(in_the_middle "$G")"
  say hidden_edits "$(hidden_edits)"
  [ "$U_SUBMODULES" != 1 ] || say submodule_edits "$(submodule_edits)"
  if [ -n "$U_TARGET" ] && [ "$(g cat-file -t "$U_TARGET" 2>/dev/null)" = commit ]; then
    say target_here 1
    if g merge-base --is-ancestor HEAD "$U_TARGET" 2>/dev/null; then say relation newer
    elif g merge-base --is-ancestor "$U_TARGET" HEAD 2>/dev/null; then say relation older
    else say relation diverged; fi
    g log --no-decorate --format='%h %s' -n 20 "HEAD..$U_TARGET" 2>/dev/null | while IFS= read -r _l; do say commit "$_l"; done
    say in_way "$(way_of "$U_TARGET")"
  fi
  read_claim "$S"
  if claim_lives && [ "$c_run" != "$U_RUN" ]; then
    case " $U_SETTLED " in *" $c_run "*) ;; *) say held "$c_owner (run $c_run)" ;; esac
  fi
  read_switch "$S"
  if [ "$s_run" != "$U_RUN" ]; then case $s_state in armed | reverting)
    case " $U_SETTLED " in *" $s_run "*) say switch_stale "$s_run" ;; *)
      say held "the dead-man's switch of run $s_run, which $(switch_says)" ;; esac ;;
  esac; fi
  [ ! -e "$unit_dir/$(switch_unit 2>/dev/null)" ] || [ "$s_state" = armed ] || [ "$s_state" = reverting ] || say switch_left_over "$(switch_unit)"
  say previous_ref "$(g rev-parse --verify --quiet refs/uphaul/previous)"
fi
if [ "$U_MANAGER" = systemd ]; then
  say switch_unit "$unit_dir/$(switch_unit 2>/dev/null)"
  # Whether it can be written (NixOS). What root may by sudo cannot be tried here; whether the mount is read-only can be read.
  _d=$unit_dir
  while [ -n "$_d" ] && [ ! -d "$_d" ]; do _d=${_d%/*}; done
  _d=$(cd -P -- "${_d:-/}" && pwd -P)
  if [ "$(id -u)" = 0 ]; then [ -w "$_d" ]; else
    case $(findmnt -no OPTIONS -T "$_d" 2>/dev/null | tail -n 1) in ro | ro,*) false ;; esac
  fi || say switch_read_only "$unit_dir"
  for _u in $U_UNITS; do
    say unit "$_u"
    show -p LoadState,ActiveState,SubState,Type,RemainAfterExit,TriggeredBy,User,UnitFileState -- "$_u" 2>&1 | while IFS= read -r _l; do
      say unit_prop "$_u $_l"
    done
  done
  if [ "$U_SCOPE" = user ]; then
    [ -e "/var/lib/systemd/linger/$me" ] && say linger 1
    say user_manager "$(systemctl --user is-system-running 2>&1 | head -n 1)"
  elif [ "$(id -u)" != 0 ] && command -v sudo >/dev/null 2>&1; then
    sudo -n -l -l 2>&1 | head -n 400 | while IFS= read -r _l; do say sudo "$_l"; done
    # Whether a rule matches, in sudo's own eyes, which also read patterns; it does not tell whether a password is asked for.
    for _u in $U_UNITS; do
      for _v in restart reset-failed; do sudo -n -l systemctl "$_v" "$_u" >/dev/null 2>&1 </dev/null && say sudo_matches "$_v $_u"; done
    done
  fi
fi
_w=$U_TOOL
if [ -n "$_w" ]; then
  _at=$(eval "env -i $clean $U_ENV sh -c 'cd -- \"\$1\" && command -v -- \"\$2\"' sh \"\$U_DIR\" \"\$_w\"" 2>/dev/null)
  say tool_at "$_at"
  if [ -z "$_at" ]; then
    for _d in "$home/.bun/bin" "$home/.local/bin" "$home/.cargo/bin" "$home/bin" /usr/local/bin /usr/local/sbin /usr/sbin /opt/*/bin /snap/bin; do
      [ ! -x "$_d/$_w" ] || { say tool_lies "$_d/$_w"; break; }
    done
  fi
fi
say probe_tool "$(probe_tool)"
if _seen=$(awake); then
  say running "$_seen"
  if _why=$(probe); then say healthy 1; else say health_error "$_why"; fi
else
  say not_running "$_seen"
fi
say end 1
