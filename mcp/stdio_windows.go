package mcp

import (
	"os"
	"os/exec"
	"syscall"
)

// inherited are the variables a command gets of ours.
var inherited = []string{
	"PATH", "PATHEXT", "COMSPEC", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP",
	"USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES", "PROGRAMDATA", "USERNAME",
}

// ownGroup keeps signals meant for us from a command.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// endGroup does nothing: a command sees its input end, and there are no signals.
func endGroup(*os.Process) {}

// killGroup ends the command.
func killGroup(p *os.Process) { _ = p.Kill() }
