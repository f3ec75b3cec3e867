# One copy of a string by the real tcllib, package transfer::copy.
#
#   tclsh copy.tcl PORT
#
# It dials that port once for each line of its standard input, which is
#
#   SETTINGS STRING ?OPTION VALUE ...?
#
# SETTINGS are fconfigure options for the channel, STRING is the hexadecimal digits
# of UTF-8, and the options are those of transfer::copy::do.  It writes "|" to the
# channel behind the copy, closes it, and tells what the copy has told.

if {[catch {package require transfer::copy} message]} {
    puts stderr "$message: install the Debian package tcllib"
    exit 1
}

proc done {channel count {message ""}} {
    puts -nonewline $channel "|"
    close $channel
    puts [list done $count $message]
    flush stdout
    set ::done 1
}

fconfigure stdin -translation lf -encoding ascii
fconfigure stdout -translation lf -encoding ascii
while {[gets stdin line] >= 0} {
    set options [lassign $line settings hex]
    set text [encoding convertfrom utf-8 [binary decode hex $hex]]
    set channel [socket 127.0.0.1 [lindex $argv 0]]
    fconfigure $channel {*}$settings
    transfer::copy::do string $text $channel {*}$options -command [list done $channel]
    vwait done
}
