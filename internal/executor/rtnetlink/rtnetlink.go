// Package rtnetlink asks the kernel to change its addresses and routing rules, in its own
// protocol (rtnetlink(7)). It promises that a request which returns nil was carried out, and
// that a refusal comes back as the kernel's own error number.
package rtnetlink

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

const answerSeconds = 5

// Ask sends one request, whose flags must ask for an acknowledgement, and waits for its
// answer. What the kernel refuses is a unix.Errno.
func Ask(message []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerSeconds}); err != nil {
		return err
	}
	if err := unix.Sendto(s, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel's answer makes no sense")
	}
	if code := unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))); code != 0 {
		return code
	}
	return nil
}
