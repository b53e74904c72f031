package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"drover/internal/executor/rtnetlink"
)

// locks is where the workers of a host meet; it is empty after each start of the host, as
// the loopback interface is.
const locks = "/run/drover"

var errNotRoot = errors.New("only root can add it")

// takeAddress sees to it that the host has the link-local address, adding it to the
// loopback interface if need be. Each worker of the host holds a share of it; the one that
// releases the last share takes the address away, if it was a worker that added it.
func takeAddress() (host string, release func(), err error) {
	if os.Geteuid() != 0 {
		return "", nil, errNotRoot
	}
	if err := os.MkdirAll(locks, 0o755); err != nil {
		return "", nil, err
	}
	var share *os.File
	err = guarded(func() error {
		if share, err = os.OpenFile(filepath.Join(locks, "share"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return err
		}
		if err := unix.Flock(int(share.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
			return err
		}
		if hasAddress() {
			return nil
		}
		if err := changeAddress(unix.RTM_NEWADDR); err != nil {
			return fmt.Errorf("cannot add %s to the loopback interface: %w", linkLocal, err)
		}
		return os.WriteFile(filepath.Join(locks, "added"), []byte(linkLocal+"\n"), 0o600)
	})
	if err != nil {
		if share != nil {
			_ = share.Close()
		}
		return "", nil, err
	}
	return linkLocal, func() { releaseAddress(share) }, nil
}

func releaseAddress(share *os.File) {
	defer share.Close()
	_ = guarded(func() error {
		if unix.Flock(int(share.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			return nil // others have it still
		}
		added := filepath.Join(locks, "added")
		if _, err := os.Stat(added); err != nil {
			return nil // it was there before us
		}
		return errors.Join(changeAddress(unix.RTM_DELADDR), os.Remove(added))
	}) // an address that is left does no harm, and the next worker finds it
}

// guarded lets one worker of the host at a time do something.
func guarded(do func() error) error {
	f, err := os.OpenFile(filepath.Join(locks, "guard"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	return do()
}

func hasAddress() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().String() == linkLocal {
			return true
		}
	}
	return false
}

// changeAddress adds or removes the address.
func changeAddress(kind uint16) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	err = rtnetlink.Ask(addressMessage(kind, uint32(lo.Index)))
	if kind == unix.RTM_NEWADDR && errors.Is(err, unix.EEXIST) || kind == unix.RTM_DELADDR && errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil // it is as it should be
	}
	return err
}

// addressMessage is a netlink request about linkLocal/32 on an interface, whose scope is
// the host.
func addressMessage(kind uint16, index uint32) []byte {
	ip := netip.MustParseAddr(linkLocal).As4()
	e := binary.NativeEndian
	b := make([]byte, 0, 64)
	b = e.AppendUint32(b, 0) // length, below
	b = e.AppendUint16(b, kind)
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
	if kind == unix.RTM_NEWADDR {
		flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	b = e.AppendUint16(b, flags)
	b = e.AppendUint32(b, 1) // sequence
	b = e.AppendUint32(b, 0) // from
	b = append(b, unix.AF_INET, 32, 0, unix.RT_SCOPE_HOST)
	b = e.AppendUint32(b, index)
	for _, attribute := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		b = e.AppendUint16(b, 4+4)
		b = e.AppendUint16(b, attribute)
		b = append(b, ip[:]...)
	}
	e.PutUint32(b, uint32(len(b)))
	return b
}
