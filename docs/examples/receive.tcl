# tclsh receive.tcl FILE MODE PORT: receive a file; MODE is active or passive.
package require transfer::receiver

lassign $argv path mode port
set file [open $path wb]

proc done {receiver count {error {}}} {
    puts [string trimright "received $count bytes $error"]
    exit [expr {$error ne {}}]
}

transfer::receiver R -channel $file -translation binary -command done
R configure -mode $mode -host localhost -port $port
R start
vwait forever
