# Text over one connection that the real tcllib, package transfer::connect, makes.
#
#   tclsh text.tcl write|read active|passive HOST PORT TEXT ?OPTION VALUE ...?
#
# The options are the text settings of transfer::connect.  It tells the port on
# which it listens, and what it has read.  TEXT and what it tells are the hexadecimal
# digits of UTF-8.

if {[catch {package require transfer::connect} message]} {
    puts stderr "$message: install the Debian package tcllib"
    exit 1
}

proc tell {text} {
    puts $text
    flush stdout
}

proc connected {object channel} {
    if {$::direction eq "write"} {
        puts -nonewline $channel $::text
    } else {
        set read [read $channel]
        tell "read [binary encode hex [encoding convertto utf-8 $read]]"
    }
    close $channel
    exit
}

lassign $argv direction mode host port hex
set text [encoding convertfrom utf-8 [binary decode hex $hex]]
set options [lrange $argv 5 end]
transfer::connect connector -mode $mode -host $host -port $port {*}$options
set bound [connector connect connected]
if {$mode eq "passive"} {
    tell "listening $bound"
}
vwait forever
