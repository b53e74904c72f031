package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drover/bench/rig"
	"drover/internal/service/native"
)

const patience = 5 * time.Minute

// launch starts a server without a worker of its own, with the queue and the definition.
func (b *bench) launch(vcpu string) (*rig.Instance, error) {
	in, err := rig.Launch(b.Drover, b.Dir, "--no-worker")
	if err != nil {
		return nil, err
	}
	return in, in.Define(vcpu)
}

// launchWithHosts is launch and the simulated hosts.
func (b *bench) launchWithHosts() (*rig.Instance, *hosts, error) {
	in, err := b.launch("1")
	if err != nil {
		return nil, nil, err
	}
	h, err := openHosts(in, b.hosts)
	return in, h, err
}

// plainJobs: jobs submitted one by one while hosts run them, and with all of them waiting
// before the first host comes.
func (b *bench) plainJobs() error {
	in, h, err := b.launchWithHosts()
	if err != nil {
		return err
	}
	start := time.Now()
	rate, err := submit(in, 32, 0, int64(b.jobs))
	if err != nil {
		return err
	}
	if err := h.await(int64(b.jobs), patience); err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	h.close()
	if err := in.Interrupt(); err != nil {
		return err
	}
	b.row(fmt.Sprintf("%d plain jobs submitted one by one, started and settled", b.jobs), float64(b.jobs)/took, bound{2000, 5000, "jobs/s", true})
	b.note("32 clients submitted at %.0f/s meanwhile", rate)

	if in, err = b.launch("1"); err != nil {
		return err
	}
	if rate, err = submit(in, 32, 0, int64(b.jobs)); err != nil {
		return err
	}
	start = time.Now()
	if h, err = openHosts(in, b.hosts); err != nil {
		return err
	}
	if err := h.await(int64(b.jobs), patience); err != nil {
		return err
	}
	took = time.Since(start).Seconds()
	h.close()
	b.row(fmt.Sprintf("%d plain jobs that waited, started and settled", b.jobs), float64(b.jobs)/took, bound{2000, 5000, "jobs/s", true})
	b.note("they were submitted at %.0f/s", rate)
	return in.Interrupt()
}

// arrays: arrays of 10,000, and a follower that reads every event as it comes.
func (b *bench) arrays() error {
	const size = 10_000
	n := max(b.jobs/size, 1)
	for _, followed := range []bool{false, true} {
		in, h, err := b.launchWithHosts()
		if err != nil {
			return err
		}
		type seen struct {
			events int64
			err    error
		}
		told := make(chan seen, 1)
		if followed {
			from := int64(0)
			if _, err := native.Call[native.ListTransitionsOutput](context.Background(), in.Client, "ListTransitions", &native.ListTransitionsInput{After: &from, Limit: aws.Int32(1)}); err != nil {
				return err
			}
			go func() {
				events, err := follow(in, 0, int64(n*size), patience)
				told <- seen{events, err}
			}()
		}
		start := time.Now()
		_, err = rig.Post(1, in.Endpoint+"/v1/submitjob", func(i int64) (string, bool) { return arrayBody(i, size), i < int64(n) }, sign(in))
		if err != nil {
			return err
		}
		if err := h.await(int64(n*size), patience); err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		if followed {
			s := <-told
			if s.err != nil {
				return s.err
			}
			b.row("outbox: events written with their jobs and read by a follower", float64(s.events)/time.Since(start).Seconds(), bound{10_000, 0, "events/s", true})
		} else {
			b.row(fmt.Sprintf("%d children of arrays of %d, started and settled", n*size, size), float64(n*size)/took, bound{2000, 5000, "jobs/s", true})
		}
		h.close()
		if err := in.Interrupt(); err != nil {
			return err
		}
	}
	return nil
}

// submitRate: what 64 clients submit, as a share of H with as many.
func (b *bench) submitRate() error {
	var ratios, rates, floors []float64
	for range 3 {
		rate, h, ratio, err := rig.AgainstH(b.Dir, 64, func() (float64, error) {
			in, err := b.launch("1")
			if err != nil {
				return 0, err
			}
			rate, err := submit(in, 64, 0, int64(b.jobs))
			return rate, errors.Join(err, in.Interrupt())
		})
		if err != nil {
			return err
		}
		rates, floors, ratios = append(rates, rate), append(floors, h), append(ratios, ratio)
	}
	b.row(fmt.Sprintf("SubmitJob with 64 clients, each job its own (%.0f/s, H = %.0f/s)", rig.Median(rates), rig.Median(floors)), rig.Median(ratios), bound{0.35, 0.7, "H", true})
	return nil
}
