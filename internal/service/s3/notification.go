package s3

import (
	"encoding/xml"
	"fmt"

	"drover/internal/core/fault"
)

// notificationConfiguration is where a bucket's events should go, as clients write it.
type notificationConfiguration struct {
	XMLName xml.Name      `xml:"NotificationConfiguration"`
	NS      string        `xml:"xmlns,attr,omitempty"`
	Topics  []destination `xml:"TopicConfiguration"`
	Queues  []destination `xml:"QueueConfiguration"`
	Lambdas []destination `xml:"CloudFunctionConfiguration"`
	Bus     *struct{}     `xml:"EventBridgeConfiguration"`
}

type destination struct {
	Topic  string
	Queue  string
	Lambda string `xml:"CloudFunction"`
}

// checkNotification refuses destinations whose service drover does not have: nothing that
// was accepted stays silent. What is left is the empty configuration, which every bucket has.
func checkNotification(doc []byte) error {
	var c notificationConfiguration
	if err := xml.Unmarshal(doc, &c); err != nil {
		return fault.New(fault.Invalid, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	refuse := func(service, arn string) error {
		return fault.New(fault.Invalid, "InvalidArgument", "Unable to validate the following destination configurations: drover has no %s yet%s. To start a Batch job for each placed file, tag the bucket %s=\"<job queue> <job definition>\".", service, arn, onPutTag)
	}
	for _, list := range []struct {
		service string
		of      []destination
	}{{"SNS", c.Topics}, {"SQS", c.Queues}, {"Lambda", c.Lambdas}} {
		for _, d := range list.of {
			return refuse(list.service, fmt.Sprintf(" (%s)", d.Topic+d.Queue+d.Lambda))
		}
	}
	if c.Bus != nil {
		return refuse("EventBridge", "")
	}
	return nil
}
