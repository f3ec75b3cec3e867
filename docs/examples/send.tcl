# tclsh send.tcl FILE MODE PORT: send a file; MODE is active or passive.
package require transfer::transmitter

lassign $argv path mode port
set file [open $path rb]

proc done {transmitter count {error {}}} {
    puts [string trimright "sent $count bytes $error"]
    exit [expr {$error ne {}}]
}

transfer::transmitter T -channel $file -translation binary -command done
T configure -mode $mode -host localhost -port $port
T start
vwait forever
