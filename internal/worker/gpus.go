package worker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
)

// Device is one GPU of the host.
type Device struct {
	Index int    `json:"index"`          // from 0, in the order of the PCI bus
	UUID  string `json:"uuid,omitempty"` // as NVIDIA's driver gives it; "" = not known
}

// ID is the word by which drivers and container engines know the device.
func (d Device) ID() string { return cmp.Or(d.UUID, strconv.Itoa(d.Index)) }

// same reports whether both are the same GPU. Indexes move when a GPU is added or fails, so
// they count only where a UUID is not known.
func (d Device) same(o Device) bool {
	if d.UUID != "" && o.UUID != "" {
		return d.UUID == o.UUID
	}
	return d.Index == o.Index
}

// gpus says which attempt has which of the host's GPUs. A device has one holder at most; what
// adopted attempts hold is believed, also of devices that this worker does not offer.
type gpus struct {
	devices []Device
	held    map[job.Lease][]Device
}

func newGPUs(devices []Device) gpus {
	return gpus{devices: devices, held: map[job.Lease][]Device{}}
}

// take gives an attempt n devices that nobody has; nil if there are not as many. What it holds
// already it is given again.
func (g *gpus) take(l job.Lease, n int) []Device {
	if had := g.held[l]; had != nil {
		return had
	}
	var free []Device
	for _, d := range g.devices {
		if len(free) < n && !g.busy(d) {
			free = append(free, d)
		}
	}
	if n <= 0 || len(free) < n {
		return nil
	}
	g.held[l] = free
	return free
}

func (g *gpus) busy(d Device) bool {
	for _, held := range g.held {
		if slices.ContainsFunc(held, d.same) {
			return true
		}
	}
	return false
}

// hold says what an adopted attempt has had from an earlier worker.
func (g *gpus) hold(l job.Lease, devices []Device) {
	if len(devices) > 0 {
		g.held[l] = devices
	}
}

// give takes an attempt's devices back. It reports whether it had any.
func (g *gpus) give(l job.Lease) bool {
	_, had := g.held[l]
	delete(g.held, l)
	return had
}

// gpuNeed is how many GPUs an attempt needs.
func (a *attempt) gpuNeed() int {
	if a.asg.Pod != nil {
		return int(a.asg.Pod.Need().GPU)
	}
	return int(a.asg.Need.GPU)
}

// takeGPUs gives an attempt its GPUs. The manager places no more attempts than there are GPUs
// for, but it knows of an attempt's end before it is forgotten here: then this waits.
func (w *worker) takeGPUs(a *attempt) error {
	n := a.gpuNeed()
	if n == 0 {
		return nil
	}
	if has := len(w.opts.Devices); n > has {
		return fmt.Errorf("CannotStartContainerError: it needs %d GPUs and this host's worker offers %d", n, has)
	}
	for {
		w.mu.Lock()
		a.devices = w.gpus.take(a.lease, n)
		got, freed := a.devices != nil, w.freed
		w.mu.Unlock()
		if got {
			return nil
		}
		select {
		case <-freed:
		case <-a.ctx.Done():
			return context.Cause(a.ctx)
		}
	}
}

// giveGPUs gives back what an attempt had, once nothing of it runs or is kept for adoption;
// worker.mu is held.
func (w *worker) giveGPUs(a *attempt) {
	if w.gpus.give(a.lease) {
		close(w.freed)
		w.freed = make(chan struct{})
	}
}

// devices are the GPUs of one member of a pod: in order, each member has as many of the
// attempt's as it asks for.
func (m *member) devices() ([]Device, error) {
	first := 0
	members := m.a.asg.Pod.Members
	for i := range members[:m.index] {
		first += int(members[i].Need.GPU)
	}
	last := first + int(members[m.index].Need.GPU)
	if last > len(m.a.devices) {
		return nil, fmt.Errorf("CannotStartContainerError: container %s needs GPUs, and which ones the job has is not known", members[m.index].Name)
	}
	return m.a.devices[first:last], nil
}

// deviceIDs are the names of devices for an executor.
func deviceIDs(devices []Device) (ids []string) {
	for _, d := range devices {
		ids = append(ids, d.ID())
	}
	return ids
}

// visible are the variables that show a command its GPUs and no others. A container is given
// its GPUs by the engine and numbers them from 0, so CUDA_VISIBLE_DEVICES is for processes.
func visible(devices []Device, boxed bool) []job.Variable {
	if len(devices) == 0 {
		return nil
	}
	ids := strings.Join(deviceIDs(devices), ",")
	out := []job.Variable{{Name: "NVIDIA_VISIBLE_DEVICES", Value: ids}}
	if !boxed {
		out = append(out, job.Variable{Name: "CUDA_VISIBLE_DEVICES", Value: ids},
			job.Variable{Name: "CUDA_DEVICE_ORDER", Value: "PCI_BUS_ID"}) // what our indexes count by
	}
	return out
}
