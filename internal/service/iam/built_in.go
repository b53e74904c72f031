package iam

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const awsPolicies = "arn:aws:iam::aws:policy/"

// builtInGrant is one of AWS's own managed policies as drover words it: what it is for,
// on the services that drover has. The names are AWS's, because clients attach them by name.
type builtInGrant struct {
	path, name string
	actions    []string
}

func builtInGrants() []builtInGrant {
	const service = "/service-role/"
	reads := []string{"batch:Describe*", "batch:List*", "batch:Get*", "logs:Describe*", "logs:Get*", "logs:List*", "logs:FilterLogEvents",
		"s3:Get*", "s3:List*", "iam:Get*", "iam:List*", "sts:Get*", "drover:List*", "drover:Get*"}
	logWrites := []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:Describe*"}
	images := []string{"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"}
	return []builtInGrant{
		{"/", "AdministratorAccess", []string{"*"}},
		{"/", "PowerUserAccess", []string{"batch:*", "logs:*", "s3:*", "sts:*", "drover:*", "iam:GetRole", "iam:ListRoles"}},
		{"/", "ReadOnlyAccess", reads},
		{"/", "AWSBatchFullAccess", []string{"batch:*", "logs:Describe*", "logs:Get*", "iam:GetInstanceProfile", "iam:GetRole", "iam:ListRoles", "iam:ListInstanceProfiles"}},
		{"/", "AmazonEC2ContainerRegistryReadOnly", append([]string{"ecr:Describe*", "ecr:List*", "ecr:Get*"}, images...)},
		{"/", "AmazonS3FullAccess", []string{"s3:*"}},
		{"/", "AmazonS3ReadOnlyAccess", []string{"s3:Get*", "s3:List*"}},
		{"/", "CloudWatchLogsFullAccess", []string{"logs:*"}},
		{"/", "CloudWatchLogsReadOnlyAccess", []string{"logs:Describe*", "logs:Get*", "logs:List*", "logs:FilterLogEvents"}},
		{"/", "IAMFullAccess", []string{"iam:*"}},
		{"/", "IAMReadOnlyAccess", []string{"iam:Get*", "iam:List*"}},
		{service, "AWSBatchServiceEventTargetRole", []string{"batch:SubmitJob"}},
		{service, "AWSBatchServiceRole", append([]string{"ec2:Describe*", "autoscaling:*", "ecs:*"}, logWrites...)},
		{service, "AmazonEC2ContainerServiceforEC2Role", slices.Concat([]string{"ec2:DescribeTags", "ecs:*"}, images, logWrites)},
		{service, "AmazonEC2SpotFleetTaggingRole", []string{"ec2:Describe*", "ec2:RequestSpotInstances", "ec2:CreateTags"}},
		{service, "AmazonECSTaskExecutionRolePolicy", slices.Concat(images, logWrites)},
	}
}

func (g *builtInGrant) arn() string { return "arn:aws:iam::aws:policy" + g.path + g.name }

// builtIn gives one of AWS's own policies in drover's wording.
func builtIn(arn string) (managed, bool) {
	if !strings.HasPrefix(arn, awsPolicies) {
		return managed{}, false
	}
	for _, g := range builtInGrants() {
		if g.arn() != arn {
			continue
		}
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17",
			"Statement": []any{map[string]any{"Sid": g.name, "Effect": "Allow", "Action": g.actions, "Resource": "*"}}})
		if err != nil {
			return managed{}, false
		}
		return managed{Name: g.name, Path: g.path, ID: "ANPA" + strings.ToUpper((g.name + strings.Repeat("0", 17))[:17]), Last: 1, Default: "v1",
			Description: aws.String("AWS's policy of this name, in drover's wording."), Versions: []version{{ID: "v1", Text: string(text)}}, builtIn: true}, true
	}
	return managed{}, false
}

func builtInARNs() []string {
	var arns []string
	for _, g := range builtInGrants() {
		arns = append(arns, g.arn())
	}
	slices.Sort(arns)
	return arns
}

func builtInNames() []string {
	var names []string
	for _, arn := range builtInARNs() {
		names = append(names, strings.TrimPrefix(arn, awsPolicies))
	}
	return names
}
