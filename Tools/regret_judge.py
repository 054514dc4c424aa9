# SPDX-License-Identifier: Apache-2.0
"""placeholder"""
def judge(o): pass
def table(o): pass
