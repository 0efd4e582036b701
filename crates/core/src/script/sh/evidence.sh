# What can be seen of a failed restart or verify, before the way back makes it go. It only reads. Each question has a limit
# of its own, the service being down meanwhile; what cannot be asked is said in its place. `evidence/mod.rs` reads this.
S=$(uphaul_dir) || S=$U_DIR
kept=$S/runs/$U_RUN began=$(up) grace=1
[ "$U_PROBE_S" -le "$U_EACH_S" ] || U_PROBE_S=$U_EACH_S
# part NAME HOW END BYTES: what is on stdin becomes a part, at most BYTES of its `head` or `tail`. Each line comes after a
# blank, so that nothing in it can begin another part.
part() {
  say part "$1"; say how "$(printf '%s' "$2" | tr '\n\r' '  ')"
  _kept=$(tr -d '\000' | "$3" -c "$(($4 + 1))"; printf x); _kept=${_kept%x}
  [ "${#_kept}" -le "$4" ] || say cut "$3"
  printf '%s' "$_kept" | "$3" -c "$4" | sed 's/^/ /'; echo
}
# Seconds that the next question may take; fails when the time is over.
left() {
  _t=$((U_LIMIT - 1 - $(up) + began)); [ "$_t" -le "$U_EACH_S" ] || _t=$U_EACH_S
  [ "$_t" -ge 1 ] || { echo '(left out: the time for the evidence is over)'; return 1; }
}
ended() { case $1 in 0 | 141) ;; 124 | 137) printf '\n(no end within %s s)\n' "$2" ;; *) printf '\n(exit %s)\n' "$1" ;; esac; }
# ask CMD...: what a program says, and how it ended where it did not end well.
ask() { left || return 0; timeout -k 1 "$_t" "$@" 2>&1 </dev/null; ended $? "$_t"; }
# The same of a command of the operator.
ask_operator() { left || return 0; operator "$_t" "$1" 2>&1 </dev/null; ended $? "$_t"; }

count=0; for unit in $U_UNITS; do count=$((count + 1)); done
[ "$count" -le 8 ] || count=8
# Not asked for: Environment and ExecStart, where secrets stand.
fields=LoadState,ActiveState,SubState,Result,Type,Restart,MainPID,ExecMainCode,ExecMainStatus,StatusText,StatusErrno,NRestarts,InvocationID,MemoryCurrent,TasksCurrent,CPUUsageNSec,User,WorkingDirectory,FragmentPath,DropInPaths,NeedDaemonReload,TriggeredBy
may=
if [ "$U_SCOPE" != user ] && [ "$(id -u)" != 0 ] && timeout 2 sudo -n -l journalctl >/dev/null 2>&1; then may='sudo -n'; fi
case " $(id -u) $(id -nG) " in *' 0 '* | *' adm '* | *' systemd-journal '*) reads=1 ;; *) reads=$may ;; esac
# The starts of a unit that this run knows of: the one that its restart made, and the last one, in a crash loop another.
starts() {
  { cat "$kept/invocations.$U_PHASE" 2>/dev/null | tr ';' '\n'; printf '%s %s\n' "$1" "$(timeout 2 systemctl $of_user show -p InvocationID --value -- "$1" 2>/dev/null)"; } |
    while read -r _unit _id; do case $_unit:$_id in "$1":*[!0-9a-z]*) ;; "$1":?*) printf '%s\n' "$_id" ;; esac; done | sort -u
}
# The place in the journal where the start began that the restart made, as a cursor; nothing after a reboot. The time in it is
# one that no entry has: without one, some versions go to the first entry of a file that has nothing at this place or after it.
since() {
  [ "$(cat "$kept/restart.$U_PHASE" 2>/dev/null)" = "$(boot)" ] || return 0
  while read -r _unit _at; do
    case $_unit:$_at in "$1":*[!0-9]*) ;; "$1":?*) printf 'b=%s;m=%x;t=7fffffffffffff' "$(boot | tr -d -)" "$_at"; break ;; esac
  done <"$kept/began.$U_PHASE"
} 2>/dev/null
# What a unit logged since its restart, where that is not more than is kept: with what ended so soon that journald never
# learned which start it was of.
all_since() {
  _from=$(since "$1")
  [ -n "$_from" ] || return 1
  # It is one question more, and may not take the time of the others.
  _each=$U_EACH_S; [ "$_each" -le 2 ] || U_EACH_S=2
  logged "$max" -n 200 --cursor="$_from" $_user -u "$1"
  U_EACH_S=$_each
  case $(printf '%s\n' "$_said" | tail -n 1) in '' | '(exit '* | '(no end within '* | '(left out: '*) return 1 ;; esac
  # These are the first 200, and cut they have lost the newline at their end, so as many bytes as fit are too many.
  [ "${#_said}" -lt "$max" ] && [ "$(printf '%s\n' "$_said" | wc -l)" -lt 200 ]
}
# What these starts logged, and what their manager logged of them, known by its id.
journal() {
  unit=$1 max=$((32768 / count)) _of=INVOCATION_ID _user=''
  _by=${may:+$may }journalctl; [ -n "$reads" ] || _by="as far as $me may read: journalctl"
  [ "$U_SCOPE" != user ] || { _of=USER_INVOCATION_ID; _user=--user; }
  if all_since "$unit"; then
    printf '%s\n' "$_said" | part "journal $unit" "$_by -b ${_user:+$_user }-u $unit, since its restart" tail "$max"
    return
  fi
  set --
  for _id in $(starts "$unit"); do set -- "$@" "_SYSTEMD_INVOCATION_ID=$_id"; done
  if [ $# -gt 0 ]; then
    set -- "$@" +; for _id in $(starts "$unit"); do set -- "$@" "$_of=$_id"; done
    logged "$max" -n 200 "$@"
    [ -z "$_said" ] || { printf '%s\n' "$_said" | part "journal $unit" "$_by -b -n 200 $*" tail "$max"; return; }
  fi
  # Of a service that ended at once, the journal may not know which start it was.
  logged "$max" -n 50 $_user -u "$unit"
  _by="nothing by the id of this start, so of all of this boot: $_by"
  [ -n "$_said" ] || case $reads in
  '') _said="(not allowed: $me may not read the journal. It needs the group systemd-journal, or the right to run journalctl by sudo)" ;;
  *) _said='(nothing was logged)' ;;
  esac
  printf '%s\n' "$_said" | part "journal $unit" "$_by -b -n 50 ${_user:+$_user }-u $unit" tail "$max"
}
# One byte more than is kept shows that something is missing.
logged() {
  _max=$1; shift
  _said=$(ask $may journalctl -q --no-pager -b -o short-iso "$@" | tr -d '\000' | tail -c "$((_max + 1))")
  case $reads:$_said in :*'insufficient permissions'*) _said='' ;; esac
}
units() {
  # What was written last is on its way to the journal.
  if [ "$(id -u)" = 0 ] || [ -n "$may" ]; then ask $may journalctl --sync >/dev/null; fi
  n=0
  for unit in $U_UNITS; do
    n=$((n + 1)); [ "$n" -le 8 ] || break
    ask systemctl $of_user show -p "$fields" -- "$unit" | part "unit $unit" "systemctl${of_user:+ $of_user} show $unit" head 2048
    journal "$unit"
  done
}
# A raw answer of HTTP as its status, its type and the first of its body. What is no such answer stays as it is.
response() {
  _raw=$(head -c 16384 | tr -d '\000\r')
  case $_raw in HTTP/*) ;; *) printf '%s\n' "$_raw"; return ;; esac
  printf '%s\n' "$_raw" | sed -n '1p; 2,/^$/{ /^[Cc]ontent-[Tt]ype:/p; /^$/q; }'
  echo
  printf '%s\n' "$_raw" | sed '1,/^$/d'
}
http() {
  case $1 in
  curl) ask curl -q -sS -m "$U_PROBE_S" -D - -- "$U_HEALTH_AT" | response ;;
  wget) ask wget --no-config -nv -S --content-on-error --max-redirect=0 -t 1 -T "$U_PROBE_S" -O - -- "$U_HEALTH_AT" |
    sed '/^  [A-Za-z0-9-]*: /{ /^  [Cc]ontent-[Tt]ype:/!d; }' ;;
  bash) ask bash -c '
    rest=${1#http://}; at=${rest%%[/?#]*}; path=${rest#"$at"}; host=${at%:*}; port=${at##*:}
    [ "$host" != "$at" ] || port=80
    host=${host#[}; host=${host%]}
    exec 3<>"/dev/tcp/$host/$port" || exit 1
    printf "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${path:-/}" "$at" >&3
    cat <&3' bash "$U_HEALTH_AT" | response ;;
  python3) ask python3 -c '
import sys, urllib.error, urllib.request
class No(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *a): return None
try: r = urllib.request.build_opener(No).open(sys.argv[1], timeout=float(sys.argv[2]))
except urllib.error.HTTPError as e: r = e
except OSError as e: sys.exit(str(e))
print("HTTP/1.1 %s %s\nContent-Type: %s\n" % (r.status, r.reason, r.headers.get("Content-Type")), flush=True)
sys.stdout.buffer.write(r.read(16384))' "$U_HEALTH_AT" "$U_PROBE_S" | response ;;
  *) echo '(no curl, wget, bash or python3 to ask with)' ;;
  esac
}
health() {
  case $U_HEALTH in
  none) echo '(no health check is configured)' | part health '' head 100 ;;
  http) tool=$(probe_tool); http "$tool" | part health "GET $U_HEALTH_AT by ${tool:-nothing}" head 4096 ;;
  tcp) { if ! left; then :; elif why=$(probe); then echo 'a connection is accepted'; else printf '%s\n' "$why"; fi; } |
    part health "a connection to $U_HEALTH_AT" head 4096 ;;
  command) ask_operator "$U_HEALTH_AT" | part health "$U_HEALTH_AT" head 4096 ;;
  esac
}
# What a job printed. The switch's own steps are what ran where it went back.
printed() { cat "$S/jobs/$U_RUN.$1/out" "$S/jobs/$U_RUN.$1/more" 2>/dev/null; }
machine() {
  printf 'up %s s, load %s\n' "$(up)" "$(cut -d' ' -f1-3 /proc/loadavg)"
  sed -n '/^MemTotal:/p; /^MemAvailable:/p; /^SwapTotal:/p; /^SwapFree:/p' /proc/meminfo
  ask df -Pk -- "$U_DIR" / /tmp /var | uniq
  ask df -Pi -- "$U_DIR"
}
logins() {
  _all=$(if command -v who >/dev/null 2>&1; then ask who; fi
    if command -v loginctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then ask loginctl list-sessions --no-legend --no-pager; fi)
  printf '%s\n' "${_all:-(nobody, as far as who and loginctl tell)}"
}
case $U_MANAGER in
systemd) units ;;
*)
  ask_operator "$U_STATUS" | part status "$U_STATUS" head 4096
  echo '(left out: without systemd nobody here knows where the service logs)' | part journal '' head 100 ;;
esac
health
printed "$U_OF" | part step "the end of what $U_OF printed" tail 4096
{ printed "$U_PHASE-Install"; [ -d "$S/jobs/$U_RUN.$U_PHASE-Install" ] || printed switch-install; } |
  part install 'the end of what the install printed' tail 4096
read_switch "$S"
case $s_run:$s_state in "$U_RUN:reverting" | "$U_RUN:reverted" | "$U_RUN:failed")
  printf '%s: %s\n' "$s_state" "$s_note" | part switch "the note of the dead-man's switch" head 1024 ;;
esac
machine | part machine 'df, /proc/meminfo, /proc/loadavg' head 4096
logins | part logins 'who, loginctl list-sessions' head 2048
