# Whether the switch that was read acts no more: its unit was taken away, or its checkout moved or copied. 600 s are more
# than a boot takes to begin it and a try needs to be begun again; one that waits, acts, or waits to be begun is not `inactive`.
switch_dead() {
  [ "$(switch_left)" -lt -600 ] || return 1
  case $(field "$(switch_unit)" ActiveState) in inactive | failed) ;; '') [ ! -d /run/systemd/system ] ;; *) return 1 ;; esac
}
# What becomes of the host by it.
switch_says() {
  if [ "$(switch_left)" -ge 0 ]; then printf 'takes the host back in %s s' "$(switch_left)"; return 0; fi
  printf 'is overdue by %s s' "$((0 - $(switch_left)))"
  ! switch_dead || printf ', and its unit does not run: uphaul check HOST --fix'
}
