# Seconds since this boot; no decision here reads the wall clock.
up() { IFS='. ' read -r _up _ </proc/uptime; printf '%s' "$_up"; }
boot() { cat /proc/sys/kernel/random/boot_id; }
# Reads the dead-man's switch below $1: which run set it, what became of it, when it acts.
read_switch() {
  s_state='' s_run='' s_fence=0 s_before=0 s_note='' s_boot='' s_at=0 s_window=${U_WINDOW:-0}
  for _f in "$1/switch/state" "$1/switch/deadline"; do
    [ -r "$_f" ] || continue
    while IFS='=' read -r _k _x; do
      case $_k in
      state) s_state=$_x ;; run) s_run=$_x ;; fence) s_fence=$_x ;; before) s_before=$_x ;; note) s_note=$_x ;;
      boot) s_boot=$_x ;; at) s_at=$_x ;; window) s_window=$_x ;;
      esac
    done <"$_f"
  done
}
# How many seconds are left before it acts. After a reboot its window counts anew.
switch_left() {
  if [ "$s_boot" = "$(boot)" ]; then printf '%s' "$((s_at - $(up)))"; else printf '%s' "$((s_window - $(up)))"; fi
}
# Puts the switch below $1 off to $2 seconds from now, by rename: who reads sees the old time or the new one.
push_switch() {
  printf 'boot=%s\nat=%s\nwindow=%s\n' "$(boot)" "$(($(up) + $2))" "$U_WINDOW" >"$1/switch/deadline.new" &&
    [ -s "$1/switch/deadline.new" ] && mv -f "$1/switch/deadline.new" "$1/switch/deadline"
}
# Gives the way back one part of the room that Record put aside for it, below $1. Parts, since a disk may be filled between
# any two of its steps, and again.
room() {
  for _r in "$1"/reserve/*; do [ -d "$_r" ] || _r=$1/reserve; rm -rf -- "$_r"; return 0; done
}
# Puts the switch below $1 off for $2 seconds, if this run has set it; not for less than its window.
put_off() {
  [ -n "$U_WINDOW" ] || return 0
  read_switch "$1"
  [ "$s_run:$s_state" = "$U_RUN:armed" ] || return 0
  _put=$2; [ "$_put" -ge "$U_WINDOW" ] || _put=$U_WINDOW
  push_switch "$1" "$_put" 2>/dev/null || { room "$1"; push_switch "$1" "$_put"; }
}
