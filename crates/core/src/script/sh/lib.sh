# What every script of Uphaul begins with. Values arrive in the environment as U_*; nothing is pasted in.
LC_ALL=C; export LC_ALL
# What a login exports for itself is not meant for us: git would look elsewhere, systemctl take its options for units,
# and a proxy would answer for the service. (Whether git goes by a proxy is said in its configuration or service.env.)
unset POSIXLY_CORRECT CDPATH GIT_DIR GIT_WORK_TREE GIT_COMMON_DIR GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_NAMESPACE GIT_CONFIG
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
umask 022
say() { printf '%s=%s\n' "$1" "$2"; }
me=$(id -un)
home=$(getent passwd "$me" 2>/dev/null | cut -d: -f6); home=${home:-${HOME:-/}}
runtime=/run/user/$(id -u)
# Commands of the operator and git see this environment and no other: the same in a session, in a job, after a crash.
clean='HOME="$home" USER="$me" LOGNAME="$me" SHELL=/bin/sh XDG_RUNTIME_DIR="$runtime" PATH=/usr/local/bin:/usr/bin:/bin'
git_ssh="$(git -C "$U_DIR" config core.sshCommand 2>/dev/null || echo ssh) -oBatchMode=yes -oConnectTimeout=15"
# git without hooks, prompts and upkeep, and with no object in the stead of another (git replace): a hash is what it says. An agent forwarded to the login is not there, since a job outlives it.
# `limited` may hold the words of a time limit; jobs have their own.
limited=
g() {
  eval "$limited env -i $clean LC_ALL=C GIT_NO_REPLACE_OBJECTS=1 GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true GIT_SSH_COMMAND=\"\$git_ssh\" $U_ENV \
    git -C \"\$U_DIR\" -c gc.auto=0 -c maintenance.auto=0 -c core.hooksPath=/dev/null -c core.fsmonitor=false \
    -c advice.detachedHead=false -c submodule.recurse=false \"\$@\""
}
if [ "$U_SCOPE" = user ]; then
  XDG_RUNTIME_DIR=$runtime; export XDG_RUNTIME_DIR
  sys() { systemctl --user "$@"; }
  show() { systemctl --user show "$@"; }
else
  if [ "$(id -u)" = 0 ]; then sys() { systemctl "$@"; }; else sys() { sudo -n systemctl "$@"; }; fi
  show() { systemctl show "$@"; }
fi
field() { show -p "$2" --value -- "$1" 2>/dev/null; }
# Runs a command in a process group of its own (timeout makes one), and ends what is left of the group: always, but
# for a restart command that succeeded (`spare` is 1), whose service may not have left the group yet.
grouped() {
  "$@" 8>&- 9>&- & _pid=$!
  trap 'kill -s KILL -- "-$_pid" 2>/dev/null; exit 143' TERM
  wait "$_pid"; _code=$?
  trap - TERM
  [ "${spare:-0}:$_code" = 1:0 ] || kill -s KILL -- "-$_pid" 2>/dev/null
  return "$_code"
}
# Runs a command of the operator, $2: one word to sh -c, in the checkout, for at most $1 seconds. `env` comes first,
# so the values stand in no process list. UPHAUL_VERSION is what is checked out: on the way back not the run's target.
operator() {
  : "${version:=$(g rev-parse --verify --quiet 'HEAD^{commit}')}"
  eval "grouped env -i $clean $U_ENV UPHAUL_VERSION=\"\$version\" timeout -k ${grace:-5} \"\$1\" sh -c 'cd -- \"\$1\" && exec sh -c \"\$2\"' sh \"\$U_DIR\" \"\$2\""
}
# The tracked files that differ from HEAD, NUL-separated, as git status --porcelain tells them.
dirty() {
  if [ "$U_SUBMODULES" = 1 ]; then _ignore=untracked; else _ignore=all; fi
  # It only looks: no lock is taken to write the index anew.
  g --no-optional-locks status --porcelain -z --untracked-files=no --no-renames --ignore-submodules="$_ignore"
}
# Edits in files that git was told to take for unchanged; neither its status nor its stash sees them.
hidden_edits() {
  # A sparse checkout has thousands of such files, none of them there: those that are there are compared, 200 at most.
  g ls-files -v -z | tr '\0\n' '\n?' | sed -n 's/^[a-zS] //p' | while IFS= read -r _f; do
    [ ! -e "$U_DIR/$_f" ] || printf '%s\n' "$_f"
  done | head -n 200 | while IFS= read -r _f; do
    [ "$(g hash-object -- "$_f" 2>/dev/null)" = "$(g rev-parse --verify --quiet ":./$_f")" ] || printf '%s\n' "$_f"
  done | listed
}
# Tracked files changed by hand inside submodules; the superproject's stash cannot keep them.
submodule_edits() { g submodule --quiet foreach --recursive 'git status --porcelain --untracked-files=no' 2>/dev/null | head -n 5 | tr '\n' ','; }
# Lines as one line, at most 10 of them.
listed() {
  _n=0 _more=
  while IFS= read -r _l; do
    _n=$((_n + 1))
    if [ "$_n" -gt 10 ]; then _more=', and more'; continue; fi
    [ "$_n" = 1 ] || printf ', '
    printf '%s' "$_l"
  done
  printf '%s' "$_more"
}
# The operation of git that somebody left in the middle, or nothing; a checkout would end it, or be undone by its end.
in_the_middle() {
  for _m in MERGE_HEAD:merge CHERRY_PICK_HEAD:cherry-pick REVERT_HEAD:revert rebase-merge:rebase rebase-apply:rebase; do
    [ ! -e "$1/${_m%%:*}" ] || { printf '%s' "${_m#*:}"; return 0; }
  done
  [ -z "$(g ls-files --unmerged | head -n 1)" ] || printf merge
}
# What is at a path now, in one word: a file's hash, what a link leads to, or that nothing is there.
content() {
  if [ -L "$U_DIR/$1" ]; then printf 'link-%s' "$(readlink -- "$U_DIR/$1" | git hash-object --stdin)"
  elif [ -e "$U_DIR/$1" ]; then g hash-object -- "$1" 2>/dev/null
  else printf gone; fi
}
# A URL without the name and the word that may stand in it.
plain_url() { sed 's#\(//\)[^/@]*@#\1#g'; }
# Runs the service's health check once. Prints what was seen where it fails.
probe() {
  case $U_HEALTH in
  none) return 0 ;;
  http) probe_http ;;
  tcp) probe_tcp "${U_HEALTH_AT%:*}" "${U_HEALTH_AT##*:}" ;;
  command)
    if [ -n "$U_JOB" ]; then
      operator "$U_PROBE_S" "$U_HEALTH_AT" >"$U_JOB/probe" 2>&1 </dev/null && return 0
      _rc=$?; _out=$(tail -c 300 "$U_JOB/probe")
    else
      _out=$(operator "$U_PROBE_S" "$U_HEALTH_AT" 2>&1 </dev/null) && return 0
      _rc=$?
    fi
    [ "$_rc" != 124 ] || _out="no end within $U_PROBE_S s $_out"
    printf 'health command: exit %s %s' "$_rc" "$(printf '%s' "$_out" | tail -c 300 | tr '\n\r' '  ')"
    return 1 ;;
  esac
}
# The first tool that is here and can ask what has to be asked.
probe_tool() {
  for _t in curl wget bash python3; do
    case $U_HEALTH:$_t:$U_HEALTH_AT in tcp:wget:* | http:bash:https:*) continue ;; esac
    # Some builds of curl (curl-minimal) speak no telnet, by which a bare connection is asked for.
    if [ "$U_HEALTH:$_t" = tcp:curl ]; then curl -V 2>/dev/null | grep -qw telnet || continue; fi
    # The wget of busybox follows where it is sent, and cannot be told not to.
    if [ "$_t" = wget ]; then wget --version >/dev/null 2>&1 || continue; fi
    if command -v "$_t" >/dev/null 2>&1; then printf '%s' "$_t"; return 0; fi
  done
  return 1
}
probe_http() {
  case $(probe_tool) in
  curl)
    _out=$(curl -q -sS -m "$U_PROBE_S" -o /dev/null -w '%{http_code}' -- "$U_HEALTH_AT" 2>&1)
    # Where there was no answer, its code is 000, behind what curl said.
    case $_out in 2??) return 0 ;; ?*000) _out=${_out%?000} ;; esac ;;
  wget)
    _out=$(timeout "$U_PROBE_S" wget --no-config -nv --max-redirect=0 -t 1 -T "$U_PROBE_S" -O /dev/null -- "$U_HEALTH_AT" 2>&1) && return 0 ;;
  bash)
    _out=$(timeout "$U_PROBE_S" bash -c '
      rest=${1#http://}; at=${rest%%[/?#]*}; path=${rest#"$at"}; host=${at%:*}; port=${at##*:}
      [ "$host" != "$at" ] || port=80
      host=${host#[}; host=${host%]}
      exec 3<>"/dev/tcp/$host/$port" || exit 1
      printf "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${path:-/}" "$at" >&3
      read -r line <&3; printf %s "$line"
      case $line in HTTP/*\ 2[0-9][0-9]*) exit 0 ;; esac; exit 1' bash "$U_HEALTH_AT" 2>&1) && return 0 ;;
  python3)
    _out=$(timeout "$U_PROBE_S" python3 -c '
import sys, urllib.request
class No(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *a): return None
urllib.request.build_opener(No).open(sys.argv[1], timeout=float(sys.argv[2]))' "$U_HEALTH_AT" "$U_PROBE_S" 2>&1) && return 0
    _out=$(printf '%s\n' "$_out" | tail -n 1) ;;
  *) _out='no curl, wget, bash or python3 to ask with' ;;
  esac
  printf '%s: %s' "$U_HEALTH_AT" "$(printf '%s' "$_out" | tail -c 300 | tr '\n\r' '  ')"
  return 1
}
probe_tcp() {
  _host=${1#[}; _host=${_host%]}
  case $(probe_tool) in
  curl)
    _out=$(timeout "$U_PROBE_S" curl -q -sS -m "$U_PROBE_S" -v -- "telnet://$1:$2" </dev/null 2>&1)
    case $_out in *"Connected to"*) return 0 ;; esac
    _out=$(printf '%s\n' "$_out" | tail -n 1) ;;
  bash) _out=$(timeout "$U_PROBE_S" bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$_host" "$2" 2>&1) && return 0 ;;
  python3)
    _out=$(timeout "$U_PROBE_S" python3 -c '
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))' "$_host" "$2" "$U_PROBE_S" 2>&1) && return 0
    _out=$(printf '%s\n' "$_out" | tail -n 1) ;;
  *) _out='no curl, bash or python3 to ask with' ;;
  esac
  printf '%s:%s: %s' "$1" "$2" "$(printf '%s' "$_out" | tail -c 300 | tr '\n\r' '  ')"
  return 1
}
# Says in one line as which process the service runs; the line changes when the process does. 1: it does not run. 2: there
# was no answer, which says nothing of the service.
identity() {
  if [ "$U_MANAGER" = commands ]; then
    _id=$(operator "$U_PROBE_S" "$U_STATUS" 2>&1 </dev/null); _rc=$?
    _id=$(printf '%s' "$_id" | tail -c 300 | tr '\n\r' '  ')
    case $_rc in
    0) printf '%s' "$_id"; return 0 ;;
    124) printf 'the status command did not end within %s s%s' "$U_PROBE_S" "${_id:+: $_id}"; return 2 ;;
    137) printf 'the status command was killed%s' "${_id:+: $_id}"; return 2 ;;
    esac
    printf 'the status command says that the service does not run: %s' "$_id"
    return 1
  fi
  for _unit in $U_UNITS; do
    _shown=$(show -p ActiveState,SubState,InvocationID,MainPID,NRestarts,Result -- "$_unit") || { printf 'systemctl show %s failed' "$_unit"; return 2; }
    _of() { printf '%s\n' "$_shown" | sed -n "s/^$1=//p"; }
    case $(_of ActiveState):$(_of SubState) in
    active:running | active:exited | active:listening | active:waiting) ;;
    # It goes on running while it reads its configuration again.
    reloading:* | refreshing:*) ;;
    *) printf '%s is %s (%s), result %s' "$_unit" "$(_of ActiveState)" "$(_of SubState)" "$(_of Result)"; return 1 ;;
    esac
    printf '%s invocation %s pid %s restarts %s; ' "$_unit" "$(_of InvocationID)" "$(_of MainPID)" "$(_of NRestarts)"
  done
}
# The same, of a service that may sleep: one that a socket starts is asked for something first.
awake() {
  identity >/dev/null || case $(for _unit in $U_UNITS; do field "$_unit" TriggeredBy; done) in
  *.socket*) probe >/dev/null 2>&1 ;;
  esac
  identity
}
# As what systemd runs the units now; every start has an id of its own.
invocations() { for _unit in $U_UNITS; do printf '%s %s; ' "$_unit" "$(field "$_unit" InvocationID)"; done; }
# Where Uphaul keeps its lock, claim and jobs: inside the git directory, so they live and die with the checkout.
uphaul_dir() {
  _git=$(git -C "$U_DIR" rev-parse --absolute-git-dir 2>/dev/null) || return 1
  printf '%s/uphaul' "$_git"
}
# Reads the claim of the host: who drives it, since when, with which number.
read_claim() {
  c_fence=0 c_run='' c_owner='' c_boot='' c_up=0 c_ttl=0 c_seq=0 c_over=''
  [ -r "$1/claim" ] || return 0
  while IFS='=' read -r _k _x; do
    case $_k in
    fence) c_fence=$_x ;; run) c_run=$_x ;; owner) c_owner=$_x ;; boot) c_boot=$_x ;; up) c_up=$_x ;; ttl) c_ttl=$_x ;; seq) c_seq=$_x ;; over) c_over=$_x ;;
    esac
  done <"$1/claim"
}
# Whether the claim that was read is still worth anything. After a reboot its time counts anew.
claim_lives() {
  [ -n "$c_run" ] || return 1
  if [ "$c_boot" = "$(boot)" ]; then [ $(($(up) - c_up)) -le "$c_ttl" ]; else [ "$(up)" -le "$c_ttl" ]; fi
}
# write_claim NUMBER RUN TTL OVER OWNER SEQ, below $S
write_claim() {
  printf 'fence=%s\nrun=%s\nowner=%s\nboot=%s\nup=%s\nttl=%s\nseq=%s\nover=%s\n' \
    "$1" "$2" "$5" "$(boot)" "$(up)" "$3" "$6" "$4" >"$S/claim.new" && mv -f "$S/claim.new" "$S/claim"
}
# mark_switch STATE RUN FENCE BEFORE NOTE, below $S; on the disk before this returns. Fails only without room for it.
mark_switch() {
  _mark() { printf 'state=%s\nrun=%s\nfence=%s\nbefore=%s\nnote=%s\n' "$@" >"$S/switch/state.new" && [ -s "$S/switch/state.new" ]; }
  _mark "$@" 2>/dev/null || { room "$S"; _mark "$@" || return 1; }
  sync "$S/switch/state.new" 2>/dev/null
  mv -f "$S/switch/state.new" "$S/switch/state" && { sync "$S/switch" 2>/dev/null || :; }
}
# How long the units' own limits let a restart take, in seconds. systemctl prints spans as "1min 30s".
restart_limit() {
  _all=10
  for _unit in $U_UNITS; do
    for _w in $(field "$_unit" TimeoutStopUSec) $(field "$_unit" TimeoutStartUSec); do case $_w in
      infinity) _all=$((_all + 900)) ;; *ms | *us) ;; *min) _all=$((_all + ${_w%min} * 60)) ;;
      *h) _all=$((_all + ${_w%h} * 3600)) ;; *s) _w=${_w%s}; _all=$((_all + ${_w%%.*} + 1)) ;;
      *[!0-9]*) ;; *) _all=$((_all + _w)) ;;
    esac; done
  done
  [ "$_all" -lt 900 ] || _all=900
  printf '%s' "$_all"
}
# The unit of the switch of this checkout, and where systemd finds it.
switch_unit() { printf 'uphaul-switch-%s-%s.service' "$(systemd-escape --path -- "$U_DIR" | cut -c 1-100)" "$(printf '%s' "$U_DIR" | cksum | cut -d' ' -f1)"; }
# Runs the script on stdin as who may write units: root, or for a unit of the user's own, the user.
as_manager() {
  if [ "$U_SCOPE" = user ] || [ "$(id -u)" = 0 ]; then sh -s; else
    # systemd-run reads `$` and `%` in the words of a command, and nothing in what comes on stdin.
    sudo -n systemd-run --quiet --collect --wait --pipe -p RuntimeMaxSec=50 sh -s
  fi
}
# Where units of its own kind lie, and what systemctl is told to find them.
if [ "$U_SCOPE" = user ]; then unit_dir=$home/.config/systemd/user of_user=--user; else unit_dir=/etc/systemd/system of_user=; fi
# A text as a word between quotes that `sh` reads.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
# Takes the unit of the switch away. What still waits in it is ended, unless it is what asks ($1 is `keep`).
drop_switch() {
  {
    printf 'd=%s u=%s o=%s stop=%s\n' "$(quoted "$unit_dir")" "$(quoted "$(switch_unit)")" "$of_user" "$1"
    cat <<'END'
[ -e "$d/$u" ] || exit 0
systemctl $o disable --quiet "$u"; rm -f "$d/$u"
[ "$stop" = keep ] || systemctl $o stop --no-block "$u"
systemctl $o daemon-reload
END
  } | as_manager >/dev/null 2>&1
}
