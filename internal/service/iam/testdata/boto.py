"""The calls that boto3 users and Terraform make, in their order, with every answer read."""
import json
import boto3
from botocore.exceptions import ClientError

iam = boto3.client("iam")


def refused(code, call, **members):
    try:
        call(**members)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        assert e.response["ResponseMetadata"]["RequestId"], e.response
        return e
    raise AssertionError(f"not refused with {code}")


trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
grant = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:GetUser"], "Resource": "*"}]}

role = iam.create_role(RoleName="r", Path="/x/", AssumeRolePolicyDocument=json.dumps(trust), Tags=[{"Key": "k", "Value": "v"}])["Role"]
assert role["Arn"] == "arn:aws:iam::000000000000:role/x/r" and role["RoleId"].startswith("AROA") and len(role["RoleId"]) == 21, role
got = iam.get_role(RoleName="r")["Role"]
assert got["AssumeRolePolicyDocument"] == trust, got  # botocore decodes it
assert got["MaxSessionDuration"] == 3600 and got["Tags"] == [{"Key": "k", "Value": "v"}], got
assert got["CreateDate"].year > 2000
iam.get_waiter("role_exists").wait(RoleName="r")

policy = iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(grant))["Policy"]
assert policy["DefaultVersionId"] == "v1" and policy["AttachmentCount"] == 0, policy
assert iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]["Document"] == grant
iam.attach_role_policy(RoleName="r", PolicyArn=policy["Arn"])
iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole")
names = {p["PolicyName"] for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName="r", PaginationConfig={"PageSize": 1}) for p in page["AttachedPolicies"]}
assert names == {"p", "AWSBatchServiceRole"}, names
assert iam.list_role_policies(RoleName="r")["PolicyNames"] == []
iam.put_role_policy(RoleName="r", PolicyName="in", PolicyDocument=json.dumps(grant))
assert iam.get_role_policy(RoleName="r", PolicyName="in")["PolicyDocument"] == grant

iam.create_instance_profile(InstanceProfileName="ip")
assert iam.get_instance_profile(InstanceProfileName="ip")["InstanceProfile"]["Roles"] == []
iam.add_role_to_instance_profile(InstanceProfileName="ip", RoleName="r")
iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="ip")
assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"][0]["Roles"][0]["RoleName"] == "r"
e = refused("DeleteConflict", iam.delete_role, RoleName="r")
assert isinstance(e, iam.exceptions.DeleteConflictException), type(e)

user = boto3.resource("iam").create_user(UserName="u")
pair = user.create_access_key_pair()
user.create_policy(PolicyName="in", PolicyDocument=json.dumps(grant))
own = boto3.client("iam", aws_access_key_id=pair.id, aws_secret_access_key=pair.secret)
assert own.get_user()["User"]["UserName"] == "u"
denied = refused("AccessDenied", own.list_users)
assert "arn:aws:iam::000000000000:user/u is not authorized to perform: iam:ListUsers" in str(denied), denied
assert [k["Status"] for k in iam.list_access_keys(UserName="u")["AccessKeyMetadata"]] == ["Active"]
refused("DeleteConflict", iam.delete_user, UserName="u")
iam.delete_access_key(UserName="u", AccessKeyId=pair.id)
refused("InvalidClientTokenId", own.get_user)
iam.delete_user_policy(UserName="u", PolicyName="in")
iam.delete_user(UserName="u")
refused("NoSuchEntity", iam.get_user, UserName="u")

iam.remove_role_from_instance_profile(InstanceProfileName="ip", RoleName="r")
iam.delete_instance_profile(InstanceProfileName="ip")
for p in iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]:
    iam.detach_role_policy(RoleName="r", PolicyArn=p["PolicyArn"])
iam.delete_role_policy(RoleName="r", PolicyName="in")
iam.delete_role(RoleName="r")
iam.delete_policy(PolicyArn=policy["Arn"])
assert iam.list_roles()["Roles"] == [] and iam.list_policies(Scope="Local")["Policies"] == []
